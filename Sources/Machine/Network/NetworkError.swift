import Glibc
public import HostOS
public import Virtio

/// What is wrong with a network interface that a user asked for; each shown as one line with the remedy.
public enum NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The name is none that an interface can have.
  case name(String)
  /// Two interfaces have one link.
  case taken(String)
  /// The number of queues is out of range.
  case queues(String, Int, limit: Int)
  /// The numbers of descriptors are none, too many, or the same twice.
  case descriptors(String)
  /// The MTU is below what IP needs.
  case mtu(String, UInt16)
  /// The address is that of a group, or none.
  case address(String, MACAddress)
  /// Two interfaces have one address.
  case sameAddress(String, other: String, MACAddress)
  /// A tap interface cannot be had.
  case tap(name: String, queues: Int, SystemError)
  /// A socket cannot be had.
  case socket(String, isServer: Bool, SystemError)
  /// A descriptor is not open, or nothing that a network can be.
  case descriptor(Int32)

  /// One line: the value and the remedy.
  public var description: String {
    switch self {
    case .name(let name): "--net tap=\(name): an interface's name has 1 to 15 bytes and no slash"
    case .taken(let text): "--net \(text) is there twice: give each interface a link of its own"
    case .queues(let text, let count, let limit):
      "--net \(text),queues=\(count): it can have 1 to \(limit)"
    case .descriptors(let text):
      "--net \(text): name 1 to \(TapBackend.queueLimit) descriptors, each once, as in fd=3:4"
    case .mtu(let text, let mtu): "--net \(text),mtu=\(mtu): an MTU is 68 to 65535"
    case .address(let text, let address):
      "--net \(text),mac=\(address): that is no interface's address; the second digit must be even, "
        + "as in 52:54:00:12:34:56"
    case .sameAddress(let text, let other, let address):
      "--net \(text),mac=\(address): \(other) has it; give each interface an address of its own"
    case .tap(let name, let queues, let error): Self.tap(name, queues, error)
    case .socket(let text, let isServer, let error):
      "--net \(text): \(error.reason); "
        + (isServer ? "name a path that can be made" : "start the program that listens there first")
    case .descriptor(let number):
      "--net fd=\(number): it is no unix socket and no tap interface with IFF_VNET_HDR; open it "
        + "before apus is started, as in 3<>…"
    }
  }

  private static func tap(_ name: String, _ queues: Int, _ error: SystemError) -> String {
    let start = "--net tap=\(name): \(error.reason); "
    switch error.code {
    case ENOENT, ENXIO, ENODEV: return start + "the host needs /dev/net/tun: modprobe tun"
    case EPERM, EACCES:
      return start + "run as root, or have it made for you: "
        + "ip tuntap add dev \(name) mode tap user $USER" + (queues > 1 ? " multi_queue" : "")
    case EBUSY: return start + "another program has it: name another interface"
    case EINVAL:
      return start + "an interface of that name is there that is no tap interface with "
        + (queues > 1 ? "multi_queue" : "one queue") + ": name another, or make it anew"
    default: return start + "name another interface"
    }
  }
}
