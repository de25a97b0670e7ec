/// Why a saved interrupt state cannot be used; nothing has been changed.
public enum InterruptStateError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The bytes do not begin as such a state does.
  case unknownFormat
  /// The state has another version of the layout.
  case version(UInt32)
  /// There are fewer or more bytes than the state says.
  case length(expected: Int, found: Int)
  /// The bytes are not those that were saved.
  case checksum
  /// Something in it cannot be.
  case invalid(field: String, value: UInt64)
  /// The state of a device in it cannot be.
  case device(String)
  /// The state is of a machine with another number of processors.
  case processorCount(saved: Int, machine: Int)

  /// One line: what is wrong, and what to do.
  public var description: String {
    switch self {
    case .unknownFormat:
      "no interrupt state; name a file that --save-interrupts has written"
    case .version(let version):
      "interrupt state of version \(version), and this program reads version "
        + "\(InterruptState.version); use the program that saved it"
    case .length(let expected, let found):
      "interrupt state of \(expected) bytes, of which there are \(found); save it again"
    case .checksum: "interrupt state whose checksum is wrong; save it again"
    case .invalid(let field, let value):
      "interrupt state with \(field) \(hex(value)), which cannot be; save it again"
    case .device(let reason): "\(reason); save it again"
    case .processorCount(let saved, let machine):
      "interrupt state of \(saved) processors; this machine has \(machine)"
    }
  }
}
