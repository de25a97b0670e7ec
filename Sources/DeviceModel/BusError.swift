/// Why a device cannot have the addresses it asked for.
public enum BusError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Range `region` of the device `name` has no bytes.
  case empty(name: String, region: Int)
  /// Range `region` runs past `last`, the last address of the bus.
  case outside(name: String, region: Int, base: UInt64, size: UInt64, last: UInt64)
  /// The wanted range has addresses that another range on the same level has.
  case overlap(wanted: BusMapping, existing: BusMapping)
  /// The device was removed before.
  case notRegistered(name: String)

  /// One line with the devices and the addresses.
  public var description: String {
    switch self {
    case .empty(let name, let region):
      "\(name): range \(region) is empty"
    case .outside(let name, let region, let base, let size, let last):
      "\(name): range \(region), 0x\(String(size, radix: 16)) bytes at 0x\(String(base, radix: 16)), "
        + "runs past the last address, 0x\(String(last, radix: 16))"
    case .overlap(let wanted, let existing):
      "\(wanted.name) at \(hexadecimal(wanted.addresses)) overlaps "
        + "\(existing.name) at \(hexadecimal(existing.addresses))"
    case .notRegistered(let name):
      "\(name): not on this bus, or removed from it"
    }
  }
}
