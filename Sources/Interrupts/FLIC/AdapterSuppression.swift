/// The adapter-interruption-suppression modes of the eight subclasses.
///
/// Bit 0, the most significant, of each mask is that of subclass 0.
public struct AdapterSuppression: Equatable, Sendable {
  /// The mode of a subclass (`KVM_S390_AIS_MODE_*`).
  public enum Mode: UInt16, CaseIterable, Sendable {
    /// Every interrupt is let through.
    case all = 0
    /// One interrupt is let through; then none, until the mode is set again.
    case single = 1
  }

  /// The subclasses in the single-interruption mode.
  public var single: UInt8
  /// The subclasses in the no-interruptions mode.
  public var none: UInt8

  /// Describes modes; none is suppressed unless the masks say so.
  public init(single: UInt8 = 0, none: UInt8 = 0) {
    self.single = single
    self.none = none
  }

  /// The bit of a subclass; 0 for a number that is none.
  private func bit(_ isc: UInt8) -> UInt8 { 0x80 >> isc }

  mutating func set(_ mode: Mode, ofISC isc: UInt8) {
    none &= ~bit(isc)
    switch mode {
    case .all: single &= ~bit(isc)
    case .single: single |= bit(isc)
    }
  }

  /// Whether interrupts of a subclass are held back.
  func suppresses(isc: UInt8) -> Bool { none & bit(isc) != 0 }

  /// An interrupt of `isc` was let through.
  mutating func didInterrupt(isc: UInt8) { none |= single & bit(isc) }
}
