import DeviceModel
import PCI

/// The access window: registers of the BAR, reached through configuration space (virtio 1.2, 4.1.4.9).
///
/// It works whether the BAR is decoded or not, for a driver that cannot map it.
extension PCITransport {
  /// Reads a configuration register; one of the window's data first reads the BAR.
  public func readConfiguration(_ offset: Int, width: Int) -> UInt32 {
    if isWindowData(offset), let access = windowAccess {
      let value = readAnywhere(access)
      configuration.store(UInt32(truncatingIfNeeded: value), dataOffset, width: access.width)
    }
    return configuration.read(offset, width: width)
  }

  /// Writes a configuration register; one of the window's data then writes the BAR.
  public func writeConfiguration(_ value: UInt32, _ offset: Int, width: Int) {
    configuration.write(value, offset, width: width)
    defer { controller.keeper?.keep() }
    guard isWindowData(offset), let access = windowAccess else { return }
    writeAnywhere(UInt64(configuration.read(dataOffset, width: access.width)), access)
  }

  /// Where `pci_cfg_data` is.
  private var dataOffset: Int { windowOffset + 16 }

  private func isWindowData(_ offset: Int) -> Bool {
    offset >= dataOffset && offset < dataOffset + 4
  }

  /// The access that the window's BAR, offset and length ask for, or `nil` if they make none.
  private var windowAccess: BusAccess? {
    let bar = configuration.read(windowOffset + 4, width: 1)
    let offset = UInt64(configuration.read(windowOffset + 8, width: 4))
    let length = configuration.read(windowOffset + 12, width: 4)
    // 4.1.4.9.2: the length is 1, 2 or 4, and divides the offset.
    guard bar == UInt32(PCILayout.bar), length == 1 || length == 2 || length == 4,
      offset % UInt64(length) == 0, offset < layout.size
    else { return nil }
    return BusAccess(region: PCILayout.bar, offset: offset, width: Int(length))
  }

  private func readAnywhere(_ access: BusAccess) -> UInt64 {
    if let msix, msix.contains(access.offset) {
      return msix.read(access.offset, width: access.width)
    }
    return readBAR(access)
  }

  private func writeAnywhere(_ value: UInt64, _ access: BusAccess) {
    if let msix, msix.contains(access.offset) {
      msix.write(value, access.offset, width: access.width)
    } else {
      writeBAR(value, access)
    }
  }
}
