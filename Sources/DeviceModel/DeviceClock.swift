/// The time as device models see it: the host's, or a test's.
///
/// Any thread may call.
public protocol DeviceClock: AnyObject, Sendable {
  /// Nanoseconds since some moment in the past; never steps back.
  var monotonic: UInt64 { get }
  /// Nanoseconds since 1970-01-01 00:00 UTC; steps when the host's clock is set.
  var realTime: Int64 { get }
  /// Makes a timer that is not armed.
  func makeTimer() -> any DeviceTimer
}
