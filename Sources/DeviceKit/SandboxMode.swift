/// How far a device's process is shut in.
public enum SandboxMode: String, CaseIterable, Sendable {
  /// As far as the host permits.
  case on
  /// As far as is planned; a host that does not permit all of it is an error.
  case strict
  /// Not at all.
  case off
}
