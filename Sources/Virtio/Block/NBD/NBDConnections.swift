import HostOS
import Synchronization

/// The connections to an export that no queue has, and the search for more.
///
/// Whoever finds none is told when there is one. As long as somebody waits, one thread tries to connect,
/// once a second. Any thread may call anything, and nothing here waits for a server.
final class NBDConnections: Sendable {
  private struct State {
    var idle: [NBDConnection]
    /// Who waits, in order.
    var waiting: [EventFD] = []
    var isSearching = false
    /// When it was tried last.
    var lastTry: ContinuousClock.Instant?
    var failure: String?
  }

  // Between two tries.
  private static var pause: Duration { .seconds(1) }

  private let address: NBDAddress
  private let information: NBDConnection.Information
  private let state: Mutex<State>
  private let changes = Atomic<Int>(0)
  // Signalled when somebody waits no more, for the thread that searches.
  private let end: EventFD

  init(
    _ address: NBDAddress,
    _ information: NBDConnection.Information,
    _ idle: [NBDConnection]
  ) throws(SystemError) {
    self.address = address
    self.information = information
    state = Mutex(State(idle: idle))
    end = try EventFD()
  }

  /// Why there was no connection when one was tried last.
  var failure: String? { state.withLock { $0.failure } }

  /// What ``NBDConnection/generation`` is of connections that are not outdated.
  var generation: Int { changes.load(ordering: .acquiring) }

  /// Takes a connection, or has `event` signalled once when there is one to take.
  func take(telling event: EventFD) -> NBDConnection? {
    let (taken, mustSearch) = state.withLock { state -> (NBDConnection?, Bool) in
      while let connection = state.idle.popLast() {
        // It may have been lost while nobody looked.
        guard connection.move() != .lost, connection.isAlive else { continue }
        state.waiting.removeAll { $0 === event }
        return (connection, false)
      }
      if !state.waiting.contains(where: { $0 === event }) { state.waiting.append(event) }
      let mustSearch = !state.isSearching
      state.isSearching = true
      return (nil, mustSearch)
    }
    if mustSearch { search() }
    return taken
  }

  /// Has `event` not signalled any more.
  func forget(_ event: EventFD) {
    state.withLock { $0.waiting.removeAll { $0 === event } }
    end.signal()
  }

  /// Takes a connection back on which nothing is under way.
  func giveBack(_ connection: NBDConnection) {
    guard connection.isAlive, connection.pendingCount == 0, connection.generation == generation
    else { return connection.close() }
    offer(connection)
  }

  /// Makes all connections outdated but this one.
  func replace(by connection: NBDConnection) {
    let old = state.withLock { state in
      defer { state.idle = [] }
      return state.idle
    }
    for connection in old { connection.close() }
    connection.generation = changes.add(1, ordering: .acquiringAndReleasing).newValue
    offer(connection)
  }

  private func offer(_ connection: NBDConnection) {
    let next = state.withLock { state -> EventFD? in
      state.idle.append(connection)
      state.failure = nil
      return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
    }
    next?.signal()
  }

  /// Starts the thread that searches.
  private func search() {
    do throws(SystemError) {
      let thread = try Thread("nbd") { [self] in
        while isWanted { tryOnce() }
      }
      // It ends when nobody waits any more; until then it may look up a host's name, which takes its time.
      thread.detach()
    } catch {
      state.withLock {
        $0.isSearching = false
        $0.failure = "\(error)"
      }
    }
  }

  /// Whether somebody waits; if not, the thread that asks ends.
  private var isWanted: Bool {
    state.withLock { state in
      if state.waiting.isEmpty { state.isSearching = false }
      return state.isSearching
    }
  }

  private func tryOnce() {
    guard waitForTurn() else { return }
    let current = generation
    do throws(NBDError) {
      let connection = try NBDConnection(address) { state.withLock { !$0.waiting.isEmpty } }
      guard connection.information == information else {
        throw .unreachable(address, reason: "another export than before is there")
      }
      connection.generation = current
      offer(connection)
    } catch {
      state.withLock { $0.failure = error.reason }
    }
  }

  /// Waits until a try may be made; however fast a server lets us in and throws us out, there is one in a
  /// second.
  ///
  /// - Returns: False if it was interrupted.
  private func waitForTurn() -> Bool {
    let now = ContinuousClock.now
    let wait = state.withLock { state -> Duration? in
      if let last = state.lastTry, now < last + Self.pause { return last + Self.pause - now }
      state.lastTry = now
      return nil
    }
    guard let wait else { return true }
    var list = PollList()
    _ = list.add(end.rawValue, for: .readable)
    list.wait(timeout: Int32(wait / .milliseconds(1)) + 1)
    _ = end.drain()
    return false
  }
}
