/// A one-shot timer of a device model.
///
/// Any thread may call; the expiry action runs on the clock's thread with no lock of the clock
/// held. An action that was already due when its timer was re-armed or disarmed may still run once:
/// it looks at the clock before it acts.
public protocol DeviceTimer: AnyObject, Sendable {
  /// Sets what happens at expiry; called once, before the timer is first armed.
  func whenExpired(_ action: @escaping @Sendable () -> Void)
  /// Lets the timer expire once, at `deadline` in nanoseconds of ``DeviceClock/monotonic``.
  func arm(at deadline: UInt64)
  /// Takes back ``arm(at:)``.
  func disarm()
}
