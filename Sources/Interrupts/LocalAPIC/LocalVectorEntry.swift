/// One entry of the local vector table (SDM volume 3A, figure 11-8).
///
/// Its delivery status always reads as idle, since nothing here takes time to be delivered.
struct LocalVectorEntry: Sendable {
  var rawValue: UInt32

  /// As after a reset: masked (SDM volume 3A, 11.4.7.1).
  init() { rawValue = 1 << 16 }

  var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
  /// 0 in the entries that have no delivery mode, which makes them fixed.
  var mode: InterruptRequest.Mode { InterruptRequest.Mode(bits: rawValue >> 8) }
  /// Whether the pin counts as asserted while it is low.
  var isActiveLow: Bool { rawValue & 1 << 13 != 0 }
  var isLevelTriggered: Bool { rawValue & 1 << 15 != 0 }
  /// Whether a level-triggered fixed interrupt of the pin was accepted and has not been ended.
  var remoteIRR: Bool {
    get { rawValue & 1 << 14 != 0 }
    set { rawValue = rawValue & ~(1 << 14) | (newValue ? 1 << 14 : 0) }
  }
  var isMasked: Bool {
    get { rawValue & 1 << 16 != 0 }
    set { rawValue = rawValue & ~(1 << 16) | (newValue ? 1 << 16 : 0) }
  }
}
