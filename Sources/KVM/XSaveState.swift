/// The extended processor state, in the processor's own XSAVE layout (api.rst, 4.42).
public struct XSaveState: Equatable, Sendable {
  /// The XSAVE area, as CPUID leaf 0xD of the host describes it.
  public var bytes: [UInt8]

  /// The size of `struct kvm_xsave`, which it has at least.
  public static var minimumSize: Int { 4096 }

  /// Wraps an area of at least ``minimumSize`` bytes.
  public init(bytes: [UInt8]) {
    precondition(bytes.count >= Self.minimumSize, "\(bytes.count) bytes of extended state")
    self.bytes = bytes
  }
}
