import CLinux

/// Whether a vCPU runs, halts, or waits to be started (api.rst, 4.38).
public struct MPState: RawRepresentable, Hashable, Sendable {
  /// The number in linux/kvm.h.
  public let rawValue: UInt32
  /// Wraps a number of linux/kvm.h.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  private init(_ rawValue: Int32) { self.rawValue = UInt32(rawValue) }

  /// It runs.
  public static var runnable: Self { Self(KVM_MP_STATE_RUNNABLE) }
  /// It has not been started: an application processor at power-on.
  public static var uninitialized: Self { Self(KVM_MP_STATE_UNINITIALIZED) }
  /// It got INIT and waits for the start-up interrupt.
  public static var initReceived: Self { Self(KVM_MP_STATE_INIT_RECEIVED) }
  /// It executed `HLT` and waits for an interrupt.
  public static var halted: Self { Self(KVM_MP_STATE_HALTED) }
  /// It has just got the start-up interrupt.
  public static var sipiReceived: Self { Self(KVM_MP_STATE_SIPI_RECEIVED) }
}
