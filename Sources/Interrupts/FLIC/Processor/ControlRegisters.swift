/// Masks in control register 0 (Principles of Operation, chapter 6, "External Interruption").
enum ControlRegister0 {
  /// Bit 54.
  static var serviceSignal: UInt64 { 1 << (63 - 54) }
}

/// Masks in control register 6 (Principles of Operation, chapter 6, "I/O Interruption").
enum ControlRegister6 {
  /// Bits 32 to 39 are the masks of subclasses 0 to 7.
  static func mask(ofISC isc: Int) -> UInt64 { 1 << UInt64(63 - 32 - isc) }
}

/// Masks in control register 14 (Principles of Operation, chapter 11).
enum ControlRegister14 {
  /// Bit 35, channel report pending.
  static var channelReport: UInt64 { 1 << (63 - 35) }
}
