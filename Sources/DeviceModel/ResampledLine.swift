public import HostOS

/// A level-triggered line that another process drives by itself, through eventfds.
///
/// Any thread may call, one at a time.
public protocol ResampledLine: AnyObject, Sendable {
  /// From now on a signal of `event` raises the line until the end of its interrupt, which lowers it and
  /// signals `resample`: who still needs service then signals again.
  ///
  /// Not connected when it is called.
  func connect(_ event: EventFD, resample: EventFD) throws
  /// Undoes ``connect(_:resample:)``, and lowers the line; a line that is not connected stays as it is.
  func disconnect()
}
