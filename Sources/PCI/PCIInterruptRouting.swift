/// How the pins of the root bus's devices are wired to the interrupt controller.
///
/// One formula for the `_PRT` that the guest reads and for the wires themselves, so that the two
/// cannot differ. Neighbouring devices get different inputs, as PCI 3.0, 2.2.6 suggests.
public enum PCIInterruptRouting {
  /// How many inputs of the interrupt controller the pins share.
  public static var count: Int { 8 }
  /// The global system interrupt of the first input.
  public static var firstGSI: UInt32 { 16 }

  /// The input, 0..<8, that `pin` of device `device` is wired to.
  public static func index(device: UInt8, pin: PCIInterruptPin.Pin) -> Int {
    (Int(device) + Int(pin.rawValue) - 1) % count
  }

  /// The global system interrupt, 16...23, that `pin` of device `device` raises.
  public static func gsi(device: UInt8, pin: PCIInterruptPin.Pin) -> UInt32 {
    firstGSI + UInt32(index(device: device, pin: pin))
  }
}
