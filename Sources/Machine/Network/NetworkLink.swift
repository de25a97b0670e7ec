import Glibc
import HostOS
import Virtio

/// Makes a network interface's connection to the host, which outlives a restart of the guest.
enum NetworkLink {
  /// Opens what the configuration says.
  ///
  /// - Throws: ``NetworkError`` if it cannot be had.
  static func open(
    _ network: MachineConfiguration.Network
  ) throws(NetworkError) -> any NetBackend {
    switch network.link {
    case .tap(let name):
      do throws(SystemError) {
        return try openTap(name, network)
      } catch {
        throw .tap(name: name, queues: network.queuePairs, error)
      }
    case .unix(let path, let isServer):
      do throws(SystemError) {
        return isServer
          ? try StreamBackend(listeningAt: path) : try StreamBackend(connectingTo: path)
      } catch {
        throw .socket(network.text, isServer: isServer, error)
      }
    case .descriptors(let numbers): return try adopt(numbers)
    }
  }

  // Each of them 5 ms after the one before: a second.
  private static var tapAttempts: Int { 200 }

  /// Opens a tap interface, with some patience.
  ///
  /// A process that was killed in a sandbox has it until the kernel has ended that too, a moment after.
  private static func openTap(
    _ name: String,
    _ network: MachineConfiguration.Network
  ) throws(SystemError) -> TapBackend {
    for attempt in 0... {
      do throws(SystemError) {
        return try TapBackend(
          interface: name,
          queuePairCount: network.queuePairs,
          mtu: network.mtu
        )
      } catch {
        guard error.code == EBUSY, attempt < tapAttempts else { throw error }
        usleep(5000)
      }
    }
    preconditionFailure("the last attempt returns or throws")
  }

  /// Uses descriptors that this process was started with.
  private static func adopt(_ numbers: [Int32]) throws(NetworkError) -> any NetBackend {
    if numbers.count == 1, let kind = UnixSocket.kind(of: numbers[0]) {
      return try adopt(socket: numbers[0], kind)
    }
    var queues: [TapQueue] = []
    for number in numbers {
      do throws(SystemError) {
        // Theirs stays open: a guest that begins anew finds it here again.
        queues.append(try TapQueue(adopting: OwnedFileDescriptor(duplicating: number)))
      } catch {
        throw .descriptor(number)
      }
    }
    do throws(SystemError) {
      return try TapBackend(queues)
    } catch {
      throw .tap(name: queues[0].name, queues: queues.count, error)
    }
  }

  private static func adopt(
    socket number: Int32,
    _ kind: UnixSocket.Kind
  ) throws(NetworkError) -> any NetBackend {
    let label = "fd=\(number)"
    do throws(SystemError) {
      let own = try OwnedFileDescriptor(duplicating: number)
      switch kind {
      case .stream: return try StreamBackend(adopting: own, label: label)
      case .datagram: return try DatagramBackend(adopting: own, label: label)
      case .sequence: return try DatagramBackend(adopting: own, label: label, isSequence: true)
      }
    } catch {
      throw .socket(label, isServer: false, error)
    }
  }

  /// An address that differs from those of other interfaces, on this host and on others, and stays
  /// the same from run to run.
  static func address(of network: MachineConfiguration.Network) -> MACAddress {
    network.macAddress ?? address(named: network.text)
  }

  /// The same for anything that an option's text names.
  static func address(named text: String) -> MACAddress {
    // FNV-1a, over what is unique to the host and to the link on it.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in machineIdentity + Array(text.utf8) {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    // The second bit: nobody was given the address; the first one clear: it is no group's.
    return MACAddress(0x0200_0000_0000 | (hash ^ hash >> 40) & 0xFF_FFFF_FFFF)
  }

  /// What systemd and others keep a host's identity in (machine-id(5)).
  private static var machineIdentity: [UInt8] {
    guard let file = try? OwnedFileDescriptor(opening: "/etc/machine-id", O_RDONLY) else {
      return []
    }
    return (try? FileIO.read(file.rawValue, atMost: 64)) ?? []
  }
}
