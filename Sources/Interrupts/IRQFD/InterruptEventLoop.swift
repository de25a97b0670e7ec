public import HostOS
import Synchronization

/// The thread that waits for eventfds which raise interrupts.
///
/// Any thread may add and remove; actions run on the loop's own thread, with no lock held. The thread
/// ends with this object.
public final class InterruptEventLoop: Sendable {
  private let core: Core
  private let thread: Mutex<Thread?>

  /// Starts the thread.
  ///
  /// - Throws: ``SystemError`` if the host has no descriptor or thread left.
  public init() throws(SystemError) {
    let core = try Core()
    self.core = core
    thread = Mutex(try Thread("interrupts") { core.run() })
  }

  /// Makes a loop with no thread, for a test that calls ``turn()`` where it likes.
  package init(withoutThread: Void) throws(SystemError) {
    core = try Core()
    thread = Mutex(nil)
  }

  deinit {
    core.stop()
    guard let thread = thread.withLock({ $0.take() }) else { return }
    // An action may have held the last of us: its thread cannot wait for itself, and ends on its own.
    if core.isRunHere { thread.detach() } else { thread.join() }
  }

  /// Acts on the eventfds that have a count now, on the calling thread.
  package func turn() { core.turn(timeout: 0) }

  /// How many eventfds are waited for.
  package var count: Int { core.count }

  /// A number for ``add(_:token:_:)`` that nobody else has.
  public func makeToken() -> UInt64 { core.nextToken.add(1, ordering: .relaxed).newValue }

  /// Calls `action` whenever `event` has a count, until ``remove(_:)``; the action takes the count.
  ///
  /// - Parameters:
  ///   - event: What is waited for.
  ///   - interest: With `.edges`, an eventfd whose count the action cannot take is not looked at again before it
  ///     is signalled.
  ///   - token: What ``remove(_:)`` knows it by.
  ///   - action: Called on the loop's thread.
  /// - Throws: ``SystemError`` if the host cannot wait for one more.
  public func add(
    _ event: EventFD,
    _ interest: Poller.Interest = .readable,
    token: UInt64,
    _ action: @escaping @Sendable () -> Void
  ) throws(SystemError) {
    try core.add(event, interest, token, action)
  }

  /// Ends ``add(_:token:_:)``; an action that is under way may still be running on return.
  public func remove(_ token: UInt64) { core.remove(token) }

  private final class Core: Sendable {
    private struct Entry {
      let event: EventFD
      let action: @Sendable () -> Void
    }

    let nextToken = Atomic<UInt64>(0)
    private let poller: Poller
    private let stopEvent: EventFD
    private let isStopping = Atomic(false)
    private let threadID = Atomic<Int32>(0)
    private let entries = PlaneLock<[UInt64: Entry]>([:])

    init() throws(SystemError) {
      poller = try Poller()
      stopEvent = try EventFD()
      try poller.add(stopEvent.rawValue, token: 0)
    }

    func add(
      _ event: EventFD,
      _ interest: Poller.Interest,
      _ token: UInt64,
      _ action: @escaping @Sendable () -> Void
    ) throws(SystemError) {
      entries.withLock { $0[token] = Entry(event: event, action: action) }
      do throws(SystemError) {
        try poller.add(event.rawValue, interest, token: token)
      } catch {
        entries.withLock { $0[token] = nil }
        throw error
      }
    }

    func remove(_ token: UInt64) {
      guard let entry = entries.withLock({ $0.removeValue(forKey: token) }) else { return }
      // The entry keeps the descriptor open until here, so that its number is nobody else's.
      try? poller.remove(entry.event.rawValue)
    }

    func stop() {
      isStopping.store(true, ordering: .releasing)
      stopEvent.signal()
    }

    var isRunHere: Bool { threadID.load(ordering: .relaxed) == Thread.currentID }
    var count: Int { entries.withLock { $0.count } }

    func run() {
      threadID.store(Thread.currentID, ordering: .relaxed)
      while !isStopping.load(ordering: .acquiring) { turn(timeout: nil) }
    }

    func turn(timeout: Int32?) {
      do throws(SystemError) {
        try poller.wait(timeout: timeout) { event in
          guard event.token != 0 else { return }
          entries.withLock { $0[event.token] }?.action()
        }
      } catch {
        // Waiting fails only for reasons that are bugs of this file (epoll_wait(2)).
        preconditionFailure("\(error)")
      }
    }
  }
}
