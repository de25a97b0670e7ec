import HostOS

/// What the thread of a server waits for while it has a peer.
struct PeerLoop: ~Copyable {
  /// What has happened.
  enum Event: UInt64 {
    /// The server is to end.
    case stop
    /// Another thread has something to tell, or there is more to do.
    case wake
    /// The peer has sent something, takes more, or has gone.
    case connection
  }

  private let poller: Poller
  private let wake: EventFD
  private let socket: Int32
  private var isSending = false

  /// Waits for the peer at `socket`, for `wake`, which is drained here, and for `stop`.
  init(_ socket: Int32, waking wake: EventFD, until stop: Int32) throws(SystemError) {
    let poller = try Poller()
    try poller.add(stop, token: Event.stop.rawValue)
    try poller.add(wake.rawValue, token: Event.wake.rawValue)
    try poller.add(socket, token: Event.connection.rawValue)
    self.poller = poller
    self.wake = wake
    self.socket = socket
  }

  /// Waits until something happens, or the time is over.
  ///
  /// - Parameters:
  ///   - isSending: Whether the peer has to take something before anything of its is looked at.
  ///   - timeout: In milliseconds; `nil` for ever.
  /// - Returns: What has happened; nothing when the time is over.
  /// - Throws: `SystemError` if waiting fails.
  mutating func wait(isSending: Bool, timeout: Int32?) throws(SystemError) -> Set<Event> {
    if isSending != self.isSending {
      self.isSending = isSending
      let interest: Poller.Interest = isSending ? .writable : .readable
      try poller.change(socket, to: interest, token: Event.connection.rawValue)
    }
    var events: Set<Event> = []
    try poller.wait(timeout: timeout) { event in
      if let event = Event(rawValue: event.token) { events.insert(event) }
    }
    if events.contains(.wake) { wake.drain() }
    return events
  }

  /// How long there is still to wait for who is waited for since then, in milliseconds.
  ///
  /// - Parameters:
  ///   - since: On the monotonic clock; `nil` if nobody is.
  ///   - patience: How long that may take, in nanoseconds.
  /// - Returns: One more than whole milliseconds; `nil` for ever.
  static func timeout(since: UInt64?, _ patience: UInt64) -> Int32? {
    guard let since else { return nil }
    let waited = MonotonicClock.nanoseconds &- since
    return Int32(clamping: (patience - min(waited, patience)) / 1_000_000 + 1)
  }
}
