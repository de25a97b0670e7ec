/// Why a machine's PCI functions cannot be put together as asked.
public enum PCIError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Two functions claim one address.
  case addressInUse(PCIAddress, existing: String, new: String)
  /// Nothing is at the address of a function to be removed.
  case noFunction(PCIAddress)
  /// No window has room left for a BAR.
  case windowExhausted(owner: String, bar: Int, size: UInt64)
  /// A BAR would cover RAM, or what the kernel answers by itself.
  case reserved(owner: String, wanted: Range<UInt64>, taken: Range<UInt64>)

  /// One line for the user.
  public var description: String {
    switch self {
    case .addressInUse(let address, let existing, let new):
      "\(new) cannot be at PCI address \(address): \(existing) is there; choose another address"
    case .noFunction(let address):
      "there is no PCI function at \(address)"
    case .windowExhausted(let owner, let bar, let size):
      "no room for BAR \(bar) of \(owner), 0x\(String(size, radix: 16)) bytes; "
        + "remove a device or enlarge the PCI window"
    case .reserved(let owner, let wanted, let taken):
      "\(owner) cannot be at \(Self.hexadecimal(wanted)): \(Self.hexadecimal(taken)) is reserved"
    }
  }

  private static func hexadecimal(_ range: Range<UInt64>) -> String {
    let last = range.upperBound &- 1
    return "0x" + String(range.lowerBound, radix: 16) + "...0x" + String(last, radix: 16)
  }
}
