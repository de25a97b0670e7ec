/// A program-status word (z/Architecture Principles of Operation, chapter 4).
public struct ProgramStatusWord: Equatable, Sendable {
  /// Bits 0 to 63.
  public var mask: UInt64
  /// Bits 64 to 127: where the next instruction is.
  public var address: UInt64

  /// Makes a PSW.
  public init(mask: UInt64 = 0, address: UInt64 = 0) {
    self.mask = mask
    self.address = address
  }

  /// Bit 6: I/O interruptions are let through.
  public static var io: UInt64 { 1 << (63 - 6) }
  /// Bit 7: external interruptions are let through.
  public static var external: UInt64 { 1 << (63 - 7) }
  /// Bit 13: machine checks are let through.
  public static var machineCheck: UInt64 { 1 << (63 - 13) }
  /// Bit 14: the processor waits.
  public static var wait: UInt64 { 1 << (63 - 14) }
}
