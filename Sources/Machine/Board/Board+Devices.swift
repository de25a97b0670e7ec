import DeviceModel
import HostOS
import Virtio

/// The virtio devices other than disks, made from the configuration and what the host has for them.
extension Board {
  /// The devices, in the order in which they are attached.
  func makeDevices(
    _ attachments: Attachments,
    _ threads: inout QueueThreads
  ) throws -> [AttachedDevice] {
    var devices: [AttachedDevice] = []
    for (index, network) in configuration.networks.enumerated() {
      let label = "--net \(network.text)"
      if let device = attachments.isolated?.networks[index] {
        devices.append(AttachedDevice(device, address: network.address, label: label))
        continue
      }
      let device = try makeNetwork(network, index, attachments, &threads)
      networks.append(device)
      devices.append(AttachedDevice(device: device, address: network.address, label: label))
    }
    for (index, remote) in configuration.remotes.enumerated() {
      let isThere = attachments.remotes.indices.contains(index)
      let device =
        isThere ? attachments.remotes[index] : RemoteLink.detached(remote, index)
      devices.append(
        AttachedDevice(device, address: remote.address, label: remote.text)
      )
    }
    for model in attachments.models {
      devices.append(
        AttachedDevice(.model(model), address: nil, label: "device \(model.profile.name)")
      )
    }
    if let vsock = configuration.vsock {
      let device: RemoteLink.Device =
        try attachments.isolated?.vsock
        ?? .virtio(
          Vsock(
            attachments.sockets ?? VsockSockets(),
            guestCID: vsock.cid,
            threads: threads.take(1)
          )
        )
      devices.append(AttachedDevice(device, address: vsock.address, label: vsock.text))
    }
    if let balloon = configuration.balloon, let device = attachments.isolated?.balloon {
      devices.append(AttachedDevice(device, address: balloon.address, label: "--balloon"))
    } else if let balloon = configuration.balloon {
      let device = try Balloon(
        target: balloon.size,
        options: balloon.options,
        threads: threads.take(1)
      )
      self.balloon = device
      devices.append(AttachedDevice(device: device, address: balloon.address, label: "--balloon"))
    }
    if let console = attachments.isolated?.console {
      devices.append(AttachedDevice(console, address: nil, label: console.name))
    } else if let console = attachments.console {
      devices.append(AttachedDevice(device: console, address: nil, label: console.name))
    }
    if configuration.hasEntropy {
      let device: RemoteLink.Device =
        attachments.isolated?.entropy
        ?? .virtio(
          Entropy(
            limiter: configuration.entropyRate.map {
              RateLimiter(RateLimit(bytes: $0), clock: attachments.clock)
            },
            threads: threads.take(1)
          )
        )
      devices.append(AttachedDevice(device, address: nil, label: device.name))
    }
    return devices
  }

  private func makeNetwork(
    _ network: MachineConfiguration.Network,
    _ index: Int,
    _ attachments: Attachments,
    _ threads: inout QueueThreads
  ) throws(SystemError) -> Net {
    let backend =
      attachments.networks.indices.contains(index)
      ? attachments.networks[index] : DetachedNetwork(queuePairCount: network.queuePairs)
    return try Net(
      backend,
      address: NetworkLink.address(of: network),
      mtu: network.mtu,
      limits: network.limits(attachments.clock),
      threads: threads.take(backend.queuePairCount),
      polling: threads.polling,
      name: "net\(index)"
    )
  }
}
