/// One line of a bus's memory map.
public struct BusMapping: Equatable, Sendable, CustomStringConvertible {
  /// The device's name.
  public let name: String
  /// Which of the device's ranges it is, counted from 0.
  public let region: Int
  /// First to last address.
  public let addresses: ClosedRange<UInt64>

  /// Describes range `region` of the device `name`.
  public init(name: String, region: Int, addresses: ClosedRange<UInt64>) {
    self.name = name
    self.region = region
    self.addresses = addresses
  }

  /// `0xd0000000-0xd0000fff virtio-blk`.
  public var description: String { "\(hexadecimal(addresses)) \(name)" }
}

/// `0x3f8-0x3ff`, for messages.
func hexadecimal(_ addresses: ClosedRange<UInt64>) -> String {
  let first = String(addresses.lowerBound, radix: 16)
  return "0x\(first)-0x\(String(addresses.upperBound, radix: 16))"
}
