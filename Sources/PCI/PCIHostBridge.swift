public import DeviceModel

/// The host bridge, which shows itself to the guest as function 00:00.0 with no registers of its own.
public final class PCIHostBridge: PCIFunction {
  /// `host bridge`.
  public let name = "host bridge"
  /// The bridge's configuration registers.
  public let configuration: PCIConfigurationSpace

  /// Makes a generic PCI Express host bridge: a bridge, sub-class host (PCI 3.0, D.7).
  public init() {
    // The identity that the PCI ID repository lists as a generic PCIe host bridge, for which guests
    // have no workarounds of particular chipsets.
    configuration = PCIConfigurationSpace(
      PCIIdentity(vendorID: 0x1B36, deviceID: 0x0008, classCode: 0x06_00_00)
    )
  }

  /// Reads zero: the bridge has no BAR.
  public func readBAR(_ access: BusAccess) -> UInt64 { 0 }
  /// Does nothing: the bridge has no BAR.
  public func writeBAR(_ value: UInt64, _ access: BusAccess) {}
  /// Does nothing: the bridge has no state.
  public func reset() {}
}
