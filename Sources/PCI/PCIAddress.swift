/// Where a function sits: bus, device, and function number (PCI 3.0, 3.2.2.3.4).
public struct PCIAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Bus 0...255, device 0...31 and function 0...7 in one word: the function's requester ID
  /// (PCIe 4.0, 2.2.4.2).
  public let requesterID: UInt16

  /// Takes a requester ID apart; every value is an address.
  public init(requesterID: UInt16) { self.requesterID = requesterID }

  /// Names a function; the device is below 32 and the function below 8.
  public init(bus: UInt8 = 0, device: UInt8, function: UInt8 = 0) {
    precondition(device < 32 && function < 8, "no such PCI address: \(bus):\(device).\(function)")
    requesterID = UInt16(bus) << 8 | UInt16(device) << 3 | UInt16(function)
  }

  /// The bus.
  public var bus: UInt8 { UInt8(truncatingIfNeeded: requesterID >> 8) }
  /// The device on the bus.
  public var device: UInt8 { UInt8(truncatingIfNeeded: requesterID >> 3) & 0x1F }
  /// The function of the device.
  public var function: UInt8 { UInt8(truncatingIfNeeded: requesterID) & 0x7 }

  /// Orders by bus, device, and function.
  public static func < (left: Self, right: Self) -> Bool { left.requesterID < right.requesterID }

  /// As Linux prints it, without the domain: `00:1f.0`.
  public var description: String {
    "\(Self.hexadecimal(bus)):\(Self.hexadecimal(device)).\(function)"
  }

  private static func hexadecimal(_ value: UInt8) -> String {
    (value < 0x10 ? "0" : "") + String(value, radix: 16)
  }
}
