public import DeviceModel

/// One BAR of one function, as the bus that decodes its addresses sees it.
public final class PCIBARWindow: BusDevice, CustomStringConvertible {
  /// The BAR.
  public let bar: PCIBAR
  /// Which function's and which BAR it is: `BAR 4 of virtio-blk disk0 at 00:03.0`.
  public let description: String

  private let function: any PCIFunction
  // Set only if the table or the pending bits are in this BAR.
  private let msix: MSIX?

  /// Makes the view of `bar` of `function`, which is at `address`.
  public init(_ bar: PCIBAR, of function: any PCIFunction, at address: PCIAddress) {
    self.bar = bar
    self.function = function
    msix = function.msix.flatMap { $0.bar == bar.index ? $0 : nil }
    description = "BAR \(bar.index) of \(function.name) at \(address)"
  }

  /// Reads the MSI-X table, the pending bits, or the function.
  public func read(_ access: BusAccess) -> UInt64 {
    if let msix, msix.contains(access.offset) {
      return msix.read(access.offset, width: access.width)
    }
    return function.readBAR(
      BusAccess(region: bar.index, offset: access.offset, width: access.width)
    )
  }

  /// Writes to the MSI-X table or the function.
  public func write(_ value: UInt64, _ access: BusAccess) {
    if let msix, msix.contains(access.offset) {
      msix.write(value, access.offset, width: access.width)
      return
    }
    function.writeBAR(
      value,
      BusAccess(region: bar.index, offset: access.offset, width: access.width)
    )
  }
}
