import CLinux
import Glibc

/// One epoll that a thread waits in, for any number of descriptors (epoll(7)).
///
/// Owned by the thread that waits; level-triggered unless asked otherwise. Each descriptor is registered with a token,
/// which is what ``wait(timeout:)`` reports.
public struct Poller: ~Copyable, Sendable {
  private let descriptor: OwnedFileDescriptor

  /// What may be waited for.
  public struct Interest: OptionSet, Sendable {
    /// The bits of epoll_ctl(2).
    public let rawValue: UInt32
    /// Wraps epoll's bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// There is something to read, or the other end has closed.
    public static var readable: Self { Self(rawValue: 0x001) }
    /// There is room to write.
    public static var writable: Self { Self(rawValue: 0x004) }
    /// Report once that something has become ready, and not as long as it is (`EPOLLET`).
    public static var edges: Self { Self(rawValue: 1 << 31) }
  }

  /// Which descriptor is ready, and for what.
  public struct Event: Sendable {
    /// The token that the descriptor was added with.
    public let token: UInt64
    /// There is something to read, or the end of it, or an error that a read reports.
    public let isReadable: Bool
    /// There is room to write, or an error that a write reports.
    public let isWritable: Bool
    /// The other end is gone (`EPOLLHUP`, `EPOLLERR`).
    public let isHungUp: Bool
  }

  /// The epoll itself, valid while this value lives: readable while anything is ready, for another poller.
  public var rawValue: Int32 { descriptor.rawValue }

  /// The most events that one wait reports; the rest is reported by the next.
  public static var batch: Int { 16 }

  /// Makes a poller that waits for nothing yet.
  public init() throws(SystemError) {
    descriptor = OwnedFileDescriptor(
      adopting: try retrying("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
    )
  }

  /// Waits for `interest` in `number` from now on, reported as `token`.
  public borrowing func add(
    _ number: Int32,
    _ interest: Interest = .readable,
    token: UInt64
  ) throws(SystemError) {
    try control(Int32(EPOLL_CTL_ADD), number, interest, token)
  }

  /// Changes what is waited for; an empty interest leaves hang-ups and errors only.
  public borrowing func change(
    _ number: Int32,
    to interest: Interest,
    token: UInt64
  ) throws(SystemError) {
    try control(Int32(EPOLL_CTL_MOD), number, interest, token)
  }

  /// Stops waiting for `number`.
  public borrowing func remove(_ number: Int32) throws(SystemError) {
    try control(Int32(EPOLL_CTL_DEL), number, [], 0)
  }

  /// Waits until something is ready, and hands each event to `body`.
  ///
  /// - Parameters:
  ///   - timeout: Milliseconds to wait at most; `nil` waits for ever, 0 does not wait.
  ///   - body: Called for each ready descriptor; not at all when the time ran out.
  /// - Throws: ``SystemError`` if the wait fails for another reason than a signal.
  public borrowing func wait(
    timeout: Int32? = nil,
    _ body: (Event) -> Void
  ) throws(SystemError) {
    var events = unsafe InlineArray<16, epoll_event>(repeating: epoll_event())
    let number = descriptor.rawValue
    var span = unsafe events.mutableSpan
    let count = try retrying("epoll_wait") {
      // SAFETY: the buffer holds as many events as the call is told.
      unsafe span.withUnsafeMutableBufferPointer {
        unsafe epoll_wait(number, $0.baseAddress, Int32($0.count), timeout ?? -1)
      }
    }
    for index in 0..<Int(count) {
      let event = unsafe span[index]
      let failed = unsafe event.events & 0x018 != 0
      body(
        unsafe Event(
          token: event.data.u64,
          isReadable: event.events & 0x001 != 0 || failed,
          isWritable: event.events & 0x004 != 0 || failed,
          isHungUp: failed
        )
      )
    }
  }

  private borrowing func control(
    _ operation: Int32,
    _ number: Int32,
    _ interest: Interest,
    _ token: UInt64
  ) throws(SystemError) {
    var event = unsafe epoll_event(events: interest.rawValue, data: epoll_data_t(u64: token))
    let own = descriptor.rawValue
    _ = try retrying("epoll_ctl", "descriptor \(number)") {
      unsafe epoll_ctl(own, operation, number, &event)
    }
  }
}
