/// How a device of another process reaches the guest's memory.
public enum DMAMode: String, Sendable, CaseIterable {
  /// All of it is mapped there.
  case shared
  /// Nothing is mapped: each read and write is a message, and is done here if the driver's queues let the device do it.
  case window
  /// Nothing is mapped: each read and write is a message, and is done here if it is in the guest's memory.
  case message
}
