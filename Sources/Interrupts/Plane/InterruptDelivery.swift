/// What became of an interrupt that was raised.
public enum InterruptDelivery: Equatable, Sendable {
  /// It is pending where it was not.
  case delivered
  /// It was pending there already; the guest sees the two as one.
  case coalesced
  /// Nobody takes it: no such destination, or it is masked or malformed.
  case ignored
}
