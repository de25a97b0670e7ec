/// What a machine does for the clients of its control socket; called on threads of the socket's.
struct ControlHandlers: Sendable {
  /// Tells of the machine; may not take long.
  var inspect: @Sendable () -> ControlReport
  /// Has another process serve a device; takes its time.
  ///
  /// - Returns: Why it is as before, in one line; `nil` if all went well.
  var replace: @Sendable (_ device: String, ControlRequest.DeviceChange) -> String?
  /// Saves the guest in a file, which takes its time and ends the machine.
  ///
  /// - Returns: As ``replace``.
  var save: @Sendable (_ path: String) -> String?
}
