import DeviceModel
import PCI

/// Which of a function's configuration registers are kept here, and which are the server's.
///
/// The header, the chain of capabilities and MSI-X are kept here; everything else is the server's. Immutable,
/// but for the configuration space, which guards itself.
final class VfioUserRegisters: Sendable {
  let configuration: PCIConfigurationSpace
  let msix: MSIX?
  let msi: MSI?
  private let shape: VfioUserShape
  /// The bits that are kept here, by word.
  private let kept: [UInt32]

  private static var commandRegister: Int { 0x04 }

  /// Lays out the registers of a function.
  ///
  /// - Parameters:
  ///   - shape: What the function is.
  ///   - messages: Where the interrupts of MSI-X come from.
  /// - Throws: What `messages` throws.
  init(_ shape: VfioUserShape, messages: any MessageInterruptAllocator) throws {
    self.shape = shape
    configuration = PCIConfigurationSpace(shape.identity, bars: shape.bars)
    var kept = [UInt32](repeating: 0, count: PCIConfigurationSpace.size / 4)
    for word in 0..<0x10 { kept[word] = .max }
    // The status register is the server's.
    kept[Self.commandRegister / 4] = 0x0000_FFFF
    if shape.hasPin { configuration.define(0x3D, width: 1, 1) }
    var link = 0x34
    for capability in shape.capabilities {
      configuration.define(link, width: 1, UInt32(capability))
      kept[capability / 4] |= 0x0000_FF00
      link = capability + 1
    }
    if !shape.capabilities.isEmpty { configuration.define(link, width: 1, 0) }
    if let capability = shape.msix {
      configuration.define(capability.offset, width: 1, UInt32(PCICapabilityID.msix.rawValue))
      msix = try MSIX(
        vectorCount: capability.vectorCount,
        bar: capability.table.bar,
        tableOffset: capability.table.offset,
        pendingOffset: capability.pending.offset,
        in: configuration,
        at: capability.offset,
        from: messages
      )
      for word in 0..<3 { kept[capability.offset / 4 + word] = .max }
    } else {
      msix = nil
    }
    if let capability = shape.msi {
      configuration.define(capability.offset, width: 1, UInt32(PCICapabilityID.msi.rawValue))
      msi = try MSI(capability.layout, in: configuration, at: capability.offset, from: messages)
      for byte in capability.offset..<capability.offset + capability.layout.count {
        kept[byte / 4] |= 0xFF << UInt32(byte % 4 * 8)
      }
    } else {
      msi = nil
    }
    self.kept = kept
  }

  /// The bits of a register that are kept here; all of them if the server has no such register.
  func keptBits(_ offset: Int, width: Int) -> UInt32 {
    let all = UInt32.max >> UInt32(32 - 8 * width)
    guard offset < shape.configurationCount else { return all }
    return kept[offset / 4] >> UInt32(offset % 4 * 8) & all
  }

  /// Whether a write reaches the server.
  func isServers(_ offset: Int) -> Bool { offset < shape.configurationCount }

  /// How the guest wants to be interrupted.
  var choice: VfioUserInterrupts.Choice {
    if let capability = shape.msix,
      configuration.read(capability.offset + 2, width: 2) & 0x8000 != 0
    {
      return .msix
    }
    if let capability = shape.msi, configuration.read(capability.offset + 2, width: 2) & 1 != 0 {
      return .msi
    }
    return .pin
  }

  /// Signals all vectors that the guest uses.
  func signalVectors() {
    switch choice {
    case .msix: for vector in 0..<(msix?.vectorCount ?? 0) { msix?.signal(vector) }
    case .msi: for vector in 0..<(msi?.vectorCount ?? 0) { msi?.signal(vector) }
    case .pin: break
    }
  }

  /// Puts everything back to how it is at power-on.
  func reset() {
    configuration.reset()
    msix?.reset()
    msi?.reset()
  }
}
