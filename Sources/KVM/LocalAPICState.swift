import CLinux

/// The registers of a local APIC in the kernel (api.rst, 4.57).
public struct LocalAPICState: Equatable, Sendable {
  /// The first 1024 bytes of the register page.
  public var bytes: [UInt8]

  /// The length of ``bytes``.
  public static var size: Int { Int(KVM_APIC_REG_SIZE) }

  /// Wraps registers of exactly ``size`` bytes.
  public init(bytes: [UInt8]) {
    precondition(bytes.count == Self.size, "\(bytes.count) bytes of local APIC")
    self.bytes = bytes
  }

  /// The 32-bit register at a byte offset, such as 0x350 for LVT LINT0 (SDM volume 3A, table
  /// 11-1).
  public subscript(offset: Int) -> UInt32 {
    get { bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) } }
    set {
      for index in 0..<4 {
        bytes[offset + index] = UInt8(truncatingIfNeeded: newValue >> (8 * UInt32(index)))
      }
    }
  }
}
