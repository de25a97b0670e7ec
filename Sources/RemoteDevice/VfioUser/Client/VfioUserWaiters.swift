import HostOS

/// Threads that wait for a server to take over.
struct VfioUserWaiters {
  private var events: [EventFD] = []

  /// Adds the calling thread; it waits until the eventfd is readable.
  ///
  /// `nil` if the host has none left.
  mutating func add() -> EventFD? {
    guard let event = try? EventFD() else { return nil }
    events.append(event)
    return event
  }

  /// Forgets one that waits no more.
  mutating func remove(_ event: EventFD) { events.removeAll { $0 === event } }

  /// Wakes all.
  mutating func wakeAll() {
    for event in events { event.signal() }
    events = []
  }
}
