/// A guest that is loaded and ready for its first instruction.
public struct BootState: Equatable, Sendable {
  /// The protocol that the kernel was loaded with.
  public let bootProtocol: BootProtocol
  /// What the first CPU's registers must be; the others wait for their start-up interrupt.
  public let cpu: CPUStartState
  /// What was put where, by ascending address, to show to a user.
  public let placements: [BootPlacement]

  init(bootProtocol: BootProtocol, cpu: CPUStartState, placements: [BootPlacement]) {
    self.bootProtocol = bootProtocol
    self.cpu = cpu
    self.placements = placements.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }
}
