/// What a guest asks of the machine as a whole.
public enum SystemEvent: Hashable, Sendable {
  /// Turn the machine off.
  case powerOff
  /// Start again from the reset vector.
  case reset
  /// End the process with this code; the host keeps its low eight bits.
  case exit(code: Int32)
}
