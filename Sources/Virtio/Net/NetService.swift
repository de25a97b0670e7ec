import GuestMemory
import HostOS

/// Serves a pair of queues of a network device, and the control queue where that is among them.
final class NetService: QueueService {
  private let pair: Int
  private let controlIndex: Int
  private var receiver: NetReceiver
  private var transmitter: NetTransmitter
  private var control: NetControl

  init(
    _ shared: NetShared,
    pair: Int,
    mtu: UInt16?,
    _ activation: VirtioActivation
  ) throws(SystemError) {
    self.pair = pair
    // 5.1.2: after all pairs, or after the first one if there is no VIRTIO_NET_F_MQ.
    controlIndex = activation.features.contains(.netMultiQueue) ? 2 * shared.pairs.count : 2
    let port = shared.backend.makePort(pair)
    let limits = shared.limits
    receiver = NetReceiver(
      shared,
      port,
      pair: pair,
      mtu: mtu,
      try limits.receive.map { (limiter) throws(SystemError) in try RateGate(limiter) },
      activation
    )
    transmitter = NetTransmitter(
      shared,
      port,
      try limits.send.map { (limiter) throws(SystemError) in try RateGate(limiter) },
      activation
    )
    control = NetControl(shared, activation)
  }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    switch queue.index {
    case controlIndex: try control.serve(&queue)
    // 5.1.2: receiveq1, transmitq1, receiveq2 and so on.
    case 2 * pair: try receiver.serve(&queue)
    case 2 * pair + 1: try transmitter.serve(&queue)
    default: .ended
    }
  }

  func finish(_ queue: inout Virtqueue) {
    switch queue.index {
    case controlIndex: break
    case 2 * pair: receiver.finish(&queue)
    case 2 * pair + 1: transmitter.finish(&queue)
    default: break
    }
  }
}
