public import DeviceModel
import Synchronization

/// Configuration mechanism #1: an address register at port 0xCF8 and data at 0xCFC (PCI 3.0, 3.2.2.3.2).
///
/// It is registered for all eight ports from ``firstPort`` on, since the address register is a
/// doubleword; but port 0xCF9 within it is another device's, the reset register's, when accessed
/// as a byte or a word. Those accesses go on to that device.
public final class PCIConfigurationPorts: BusDevice {
  /// The first of the ports.
  public static var firstPort: UInt64 { 0xCF8 }
  /// The number of ports.
  public static var portCount: UInt64 { 8 }

  private let bus: PCIRootBus
  private let resetRegister: (any BusDevice)?
  private let selected = Atomic<UInt32>(0)

  /// Makes the ports of `bus`.
  ///
  /// - Parameters:
  ///   - bus: Whose functions are reached.
  ///   - resetRegister: What answers at port 0xCF9, its offset 0; `nil` if nothing.
  public init(_ bus: PCIRootBus, resetRegister: (any BusDevice)? = nil) {
    self.bus = bus
    self.resetRegister = resetRegister
  }

  /// The address register, to be saved and put back.
  public var savedAddress: UInt32 {
    get { selected.load(ordering: .relaxed) }
    set { selected.store(newValue & 0x80FF_FFFC, ordering: .relaxed) }
  }

  /// Forgets the selected address, as at power-on.
  public func reset() { selected.store(0, ordering: .relaxed) }

  /// Reads the address register as a doubleword, or the selected register at any width.
  public func read(_ access: BusAccess) -> UInt64 {
    let ones = UInt64.max >> UInt64(64 - 8 * access.width)
    switch access.offset {
    case 0 where access.width == 4:
      return UInt64(selected.load(ordering: .relaxed))
    case 1 where access.width == 1:
      return resetRegister?.read(BusAccess(offset: 0, width: 1)) ?? ones
    case 4..<8:
      guard let (address, offset) = target(access) else { return ones }
      return bus.read(address, offset, width: access.width)
    default:
      // Anything but a doubleword at the address register is an ordinary port access, and nobody
      // is there.
      return ones
    }
  }

  /// Writes the address register as a doubleword, or the selected register at any width.
  public func write(_ value: UInt64, _ access: BusAccess) {
    switch access.offset {
    case 0 where access.width == 4:
      // Bits 30...24 are reserved, and bits 1 and 0 are zero.
      selected.store(UInt32(truncatingIfNeeded: value) & 0x80FF_FFFC, ordering: .relaxed)
    case 1 where access.width == 1:
      resetRegister?.write(value, BusAccess(offset: 0, width: 1))
    case 4..<8:
      guard let (address, offset) = target(access) else { return }
      bus.write(value, address, offset, width: access.width)
    default:
      break
    }
  }

  /// The selected function, and the offset that the access reaches in it.
  private func target(_ access: BusAccess) -> (address: PCIAddress, offset: Int)? {
    let selected = selected.load(ordering: .relaxed)
    // Without the enable bit the data ports are ordinary ports. An access that runs out of the four
    // data ports runs out of the register too.
    guard selected & 0x8000_0000 != 0, access.offset &+ UInt64(access.width) <= 8 else {
      return nil
    }
    let address = PCIAddress(requesterID: UInt16(truncatingIfNeeded: selected >> 8))
    return (address, Int(selected & 0xFC) + Int(access.offset & 3))
  }
}
