/// A segment register with its hidden part, field for field as KVM and the processor keep it.
///
/// (Intel SDM volume 3, 3.4.3 and 3.4.5.)
public struct SegmentState: Equatable, Sendable {
  /// The selector.
  public var selector: UInt16
  /// The linear address of the first byte.
  public var base: UInt64
  /// The offset of the last byte, in bytes, whatever the granularity.
  public var limit: UInt32
  /// The four type bits.
  public var type: UInt8
  /// Code or data (true), or a system segment.
  public var isCodeOrData: Bool
  /// 64-bit code.
  public var isLong: Bool
  /// 32-bit code or stack.
  public var isDefault32: Bool
  /// Limit counted in pages in the descriptor.
  public var isPageGranular: Bool

  /// Flat code, readable and accessed, of 64 or 32 bits.
  public static func code(_ selector: UInt16, isLong: Bool) -> Self {
    Self(
      selector: selector,
      base: 0,
      limit: .max,
      type: 0xB,
      isCodeOrData: true,
      isLong: isLong,
      isDefault32: !isLong,
      isPageGranular: true
    )
  }

  /// Flat data, writable and accessed.
  public static func data(_ selector: UInt16) -> Self {
    Self(
      selector: selector,
      base: 0,
      limit: .max,
      type: 0x3,
      isCodeOrData: true,
      isLong: false,
      isDefault32: true,
      isPageGranular: true
    )
  }

  /// A busy task state segment at 0; a processor does not run without one in TR.
  ///
  /// (Intel SDM volume 3, 27.3.1.2: type 11, limit of at least 0x67.)
  public static func task(_ selector: UInt16) -> Self {
    Self(
      selector: selector,
      base: 0,
      limit: 0x67,
      type: 0xB,
      isCodeOrData: false,
      isLong: false,
      isDefault32: false,
      isPageGranular: false
    )
  }

  /// The descriptor from which the processor would load this segment; present, ring 0.
  public var descriptor: UInt64 {
    let limit = UInt64(isPageGranular ? limit >> 12 : limit)
    let access = 0x80 | (isCodeOrData ? 0x10 : 0) | UInt64(type & 0xF)
    let flags = (isPageGranular ? 8 : 0) | (isDefault32 ? 4 : 0) | (isLong ? 2 : 0) as UInt64
    let low = limit & 0xFFFF | (base & 0xFF_FFFF) << 16
    return low | access << 40 | (limit >> 16 & 0xF) << 48 | flags << 52 | (base >> 24 & 0xFF) << 56
  }
}
