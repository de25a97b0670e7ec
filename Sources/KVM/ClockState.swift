import CLinux

/// The guest's clock, and what the host's clocks said at that moment (api.rst, 4.29).
public struct ClockState: Equatable, Sendable {
  /// What the guest's clock says, in nanoseconds.
  public var nanoseconds: UInt64
  /// Whether all vCPUs' TSCs run in step, so that the guest's clock is exact; ignored when setting.
  public var isTSCStable: Bool
  /// The host's time of day in nanoseconds, if the kernel says it; when set, the clock is moved on
  /// by the time that passed since.
  public var hostRealTime: UInt64?
  /// The host's TSC, if the kernel says it; ignored when setting.
  public var hostTSC: UInt64?

  /// Describes a clock to be set.
  public init(nanoseconds: UInt64, hostRealTime: UInt64? = nil) {
    self.nanoseconds = nanoseconds
    self.hostRealTime = hostRealTime
    isTSCStable = false
  }

  init(_ raw: kvm_clock_data) {
    let flags = Int32(truncatingIfNeeded: raw.flags)
    nanoseconds = raw.clock
    isTSCStable = flags & KVM_CLOCK_TSC_STABLE != 0
    hostRealTime = flags & KVM_CLOCK_REALTIME != 0 ? raw.realtime : nil
    hostTSC = flags & KVM_CLOCK_HOST_TSC != 0 ? raw.host_tsc : nil
  }

  var raw: kvm_clock_data {
    var raw = kvm_clock_data()
    raw.clock = nanoseconds
    if let hostRealTime {
      raw.realtime = hostRealTime
      raw.flags = UInt32(KVM_CLOCK_REALTIME)
    }
    return raw
  }
}
