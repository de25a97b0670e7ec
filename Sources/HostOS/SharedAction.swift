import Synchronization

/// What is to be done when something happens, which any thread may set and do.
///
/// The closure is held by an object: one that lies in a `Mutex` itself is wrapped once more by each access to it, since
/// the lock knows it in its general form only; after many thousands, calling it would use up the stack.
public final class SharedAction: Sendable {
  private final class Held: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private let held = Mutex<Held?>(nil)

  /// Nothing is to be done yet.
  public init() {}

  /// Has `body` done from now on, or nothing; one that is being done may still go on.
  public func set(_ body: (@Sendable () -> Void)?) {
    let new = body.map { Held($0) }
    held.withLock { $0 = new }
  }

  /// Does it, if there is anything; no lock is held meanwhile.
  public func callAsFunction() { held.withLock { $0 }?.body() }

  /// Does it, if there is anything, for the last time.
  public func callOnce() {
    let last = held.withLock { held in
      defer { held = nil }
      return held
    }
    last?.body()
  }
}
