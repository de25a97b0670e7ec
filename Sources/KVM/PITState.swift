import CLinux

/// The state of the i8254 timer in the kernel, in the kernel's layout (api.rst, 4.72).
public struct PITState: Equatable, Sendable {
  /// `struct kvm_pit_state2`.
  public var bytes: [UInt8]

  /// The length of ``bytes``.
  public static var size: Int { MemoryLayout<kvm_pit_state2>.size }

  /// Wraps a state of exactly ``size`` bytes.
  public init(bytes: [UInt8]) {
    precondition(bytes.count == Self.size, "\(bytes.count) bytes of timer")
    self.bytes = bytes
  }
}
