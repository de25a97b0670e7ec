/// Why a device could not reach the guest's memory.
public enum DMAError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The driver has not allowed the function to read and write memory (PCI 3.0, 6.2.2, bus master).
  case notBusMaster
  /// Not all of the range is memory.
  case notMapped(address: UInt64, count: Int)
  /// The range is memory that a device may only read, or only write.
  case notAllowed(address: UInt64, count: Int)
  /// The peer refused, with its errno.
  case refused(address: UInt64, code: Int32)
  /// The peer did not answer in time.
  case timedOut(address: UInt64)
  /// The peer has gone.
  case disconnected

  /// One line for the log.
  public var description: String {
    switch self {
    case .notBusMaster: "the driver has not made the function a bus master"
    case .notMapped(let address, let count):
      "\(count) bytes at \(hexadecimal(address)) are not all memory"
    case .notAllowed(let address, let count):
      "\(count) bytes at \(hexadecimal(address)) are not the device's to use that way"
    case .refused(let address, let code):
      "the peer refuses access to \(hexadecimal(address)) (errno \(code))"
    case .timedOut(let address):
      "the peer does not answer an access to \(hexadecimal(address))"
    case .disconnected: "the peer has gone"
    }
  }

  private func hexadecimal(_ address: UInt64) -> String { "0x" + String(address, radix: 16) }
}
