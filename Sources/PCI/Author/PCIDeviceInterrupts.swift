import DeviceModel

/// A function's pin and vectors, as its device uses them.
final class PCIDeviceInterrupts: DeviceInterrupts {
  private let pin: PCIInterruptPin
  private let msix: MSIX?
  private let msi: MSI?

  init(_ pin: PCIInterruptPin, _ msix: MSIX?, _ msi: MSI?) {
    self.pin = pin
    self.msix = msix
    self.msi = msi
  }

  var usesMessages: Bool { msix?.isEnabled ?? msi?.isEnabled ?? false }

  func request(_ vector: Int) {
    // The pin stays low while the driver uses messages (PCI 3.0, 6.8.2.3); interrupt status does not, and
    // a driver that goes back to the pin finds the request there.
    pin.assert()
    if let msix, msix.isEnabled { msix.signal(vector) }
    if let msi, msi.isEnabled { msi.signal(vector) }
  }

  func withdraw() { pin.deassert() }
}
