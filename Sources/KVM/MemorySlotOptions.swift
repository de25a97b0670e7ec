/// What a memory slot does beyond being RAM (api.rst, 4.35).
public struct MemorySlotOptions: OptionSet, Sendable {
  /// The bits of linux/kvm.h.
  public let rawValue: UInt32
  /// Wraps bits of linux/kvm.h.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Guest writes are recorded for ``VM/dirtyLog(slot:size:)``.
  public static var logDirty: Self { Self(rawValue: 1 << 0) }
  /// Guest writes become MMIO exits, as ROM's do.
  public static var readOnly: Self { Self(rawValue: 1 << 1) }
}
