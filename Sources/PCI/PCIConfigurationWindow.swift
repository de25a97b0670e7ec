public import DeviceModel

/// The enhanced configuration access mechanism: 4 KiB of memory for each function (PCIe 4.0, 7.2.2).
public final class PCIConfigurationWindow: BusDevice {
  /// The number of buses, from 0 on, that the window reaches.
  public let busCount: Int
  private let bus: PCIRootBus

  /// Makes a window on `busCount` buses, 1 to 256.
  public init(_ bus: PCIRootBus, busCount: Int = 256) {
    precondition((1...256).contains(busCount), "ECAM over \(busCount) buses")
    self.bus = bus
    self.busCount = busCount
  }

  /// The length in bytes: 1 MiB for each bus; the window is aligned to it.
  public var size: UInt64 { UInt64(busCount) << 20 }

  /// Reads registers of the function that the offset names.
  public func read(_ access: BusAccess) -> UInt64 {
    guard access.offset < size else { return UInt64.max >> UInt64(64 - 8 * access.width) }
    return bus.read(address(access), Int(access.offset & 0xFFF), width: access.width)
  }

  /// Writes registers of the function that the offset names.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard access.offset < size else { return }
    bus.write(value, address(access), Int(access.offset & 0xFFF), width: access.width)
  }

  private func address(_ access: BusAccess) -> PCIAddress {
    PCIAddress(requesterID: UInt16(truncatingIfNeeded: access.offset >> 12))
  }
}
