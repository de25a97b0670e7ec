import CLinux

/// The x87 and SSE registers of a vCPU, in the kernel's layout (api.rst, 4.22).
public struct FPUState: Equatable, Sendable {
  /// `struct kvm_fpu`; KVM leaves its `mxcsr` alone, which ``XSaveState`` has.
  public var bytes: [UInt8]

  /// The length of ``bytes``.
  public static var size: Int { MemoryLayout<kvm_fpu>.size }

  /// Wraps registers of exactly ``size`` bytes.
  public init(bytes: [UInt8]) {
    precondition(bytes.count == Self.size, "\(bytes.count) bytes of floating-point registers")
    self.bytes = bytes
  }

  /// FCW, the x87 control word; 0x37F after `FNINIT`.
  public var controlWord: UInt16 {
    get { UInt16(bytes[128]) | UInt16(bytes[129]) << 8 }
    set {
      bytes[128] = UInt8(truncatingIfNeeded: newValue)
      bytes[129] = UInt8(truncatingIfNeeded: newValue >> 8)
    }
  }
}
