/// Why a remote's device cannot be part of the machine.
public enum MPQEMUProxyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Nobody answers for the identity of a device.
  case noDevice
  /// The header is a bridge's, or of a kind that there is not.
  case notAFunction(headerType: UInt8)
  /// A BAR is none that a machine has room for.
  case badBAR(Int, mask: UInt64)
  /// The guest's memory is in too many pieces.
  case tooManyRegions(Int)
  /// The guest's memory is in no file that another process could map.
  case noMemoryFile

  /// One line for the user.
  public var description: String {
    switch self {
    case .noDevice: "there is no device at the other end; give the remote one, and name it there"
    case .notAFunction(let type):
      "the device's header is of type \(type); only functions that are no bridges are served"
    case .badBAR(let index, let mask):
      "BAR \(index) has the address bits 0x\(String(mask, radix: 16)), which is no size that fits"
    case .tooManyRegions(let count):
      "the guest's memory is in \(count) pieces; the protocol has room for "
        + "\(MPQEMUMessage.sentRegionLimit)"
    case .noMemoryFile: "the guest's memory is in no file of its own"
    }
  }
}
