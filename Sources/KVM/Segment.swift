import CLinux

/// A segment register with its hidden part (SDM volume 3A, 3.4.3 and 3.4.5).
public struct Segment: Equatable, Sendable {
  /// The linear address of its first byte.
  public var base: UInt64 = 0
  /// The offset of its last byte, in bytes.
  public var limit: UInt32 = 0
  /// The visible part.
  public var selector: UInt16 = 0
  /// The type field: 0xB for code that may be read, 0x3 for data, 0xB for a busy TSS.
  public var type: UInt8 = 0
  /// P: the segment is there.
  public var isPresent = false
  /// DPL, the privilege level, 0 to 3.
  public var privilegeLevel: UInt8 = 0
  /// D/B: operands and addresses, or the stack, are 32 bits by default.
  public var is32Bit = false
  /// S: code or data, not a system segment.
  public var isCodeOrData = false
  /// L: 64-bit code.
  public var is64Bit = false
  /// G: the descriptor's limit counts pages; ``limit`` is in bytes all the same.
  public var isGranular = false
  /// AVL: free for the guest.
  public var isAvailable = false
  /// The register holds nothing, as a null selector leaves it.
  public var isUnusable = false

  /// All zero.
  public init() {}

  /// Decodes a descriptor, as loading `selector` would.
  public init(selector: UInt16, descriptor: UInt64) {
    self.selector = selector
    base = (descriptor >> 16) & 0xFF_FFFF | (descriptor >> 32) & 0xFF00_0000
    limit = UInt32(truncatingIfNeeded: descriptor & 0xFFFF | (descriptor >> 32) & 0xF_0000)
    type = UInt8(truncatingIfNeeded: descriptor >> 40) & 0xF
    isCodeOrData = descriptor >> 44 & 1 != 0
    privilegeLevel = UInt8(truncatingIfNeeded: descriptor >> 45) & 3
    isPresent = descriptor >> 47 & 1 != 0
    isAvailable = descriptor >> 52 & 1 != 0
    is64Bit = descriptor >> 53 & 1 != 0
    is32Bit = descriptor >> 54 & 1 != 0
    isGranular = descriptor >> 55 & 1 != 0
    if isGranular { limit = limit << 12 | 0xFFF }
    isUnusable = !isPresent
  }

  /// A segment as real mode has it: the base is the selector times 16, the limit 64 KiB
  /// (SDM volume 3A, 21.1.1).
  public static func realMode(selector: UInt16, isCode: Bool = false) -> Self {
    // A descriptor of 64 KiB, present, of privilege 0, accessed: data that may be written, or code
    // that may be read.
    var segment = Self(
      selector: selector,
      descriptor: isCode ? 0x0000_9B00_0000_FFFF : 0x0000_9300_0000_FFFF
    )
    segment.base = UInt64(selector) << 4
    return segment
  }

  init(_ raw: kvm_segment) {
    base = raw.base
    limit = raw.limit
    selector = raw.selector
    type = raw.type
    isPresent = raw.present != 0
    privilegeLevel = raw.dpl
    is32Bit = raw.db != 0
    isCodeOrData = raw.s != 0
    is64Bit = raw.l != 0
    isGranular = raw.g != 0
    isAvailable = raw.avl != 0
    isUnusable = raw.unusable != 0
  }

  var raw: kvm_segment {
    kvm_segment(
      base: base,
      limit: limit,
      selector: selector,
      type: type,
      present: isPresent ? 1 : 0,
      dpl: privilegeLevel,
      db: is32Bit ? 1 : 0,
      s: isCodeOrData ? 1 : 0,
      l: is64Bit ? 1 : 0,
      g: isGranular ? 1 : 0,
      avl: isAvailable ? 1 : 0,
      unusable: isUnusable ? 1 : 0,
      padding: 0
    )
  }
}
