import Synchronization

/// A mutex of the interrupt plane; a test can watch, and so order, the threads that take it.
///
/// All that threads share in the plane is behind one of these, so the order in which they are taken
/// is the whole interleaving. Without an observer it is a `Mutex` and one load.
package struct PlaneLock<Value: ~Copyable>: ~Copyable, Sendable {
  private let mutex: Mutex<Value>
  private let name = LockObservation.makeName()

  package init(_ value: consuming sending Value) { mutex = Mutex(value) }

  /// Runs `body` on the value, while no other thread does.
  package borrowing func withLock<Result: ~Copyable, Failure: Error>(
    _ body: (inout sending Value) throws(Failure) -> sending Result
  ) throws(Failure) -> sending Result {
    guard _slowPath(LockObservation.isOn) else { return try mutex.withLock(body) }
    let observer = LockObservation.observer
    observer?.willLock(name)
    defer { observer?.didUnlock(name) }
    return try mutex.withLock(body)
  }
}

/// Told of every taking of a ``PlaneLock``, on the thread that takes it.
package protocol LockObserver: AnyObject, Sendable {
  /// The thread is about to take `lock`; it does so once this returns.
  func willLock(_ lock: Int)
  /// The thread has let go of `lock`.
  func didUnlock(_ lock: Int)
}

/// Who watches the plane's locks: nobody, outside of tests.
package enum LockObservation {
  private static let on = Atomic(false)
  private static let names = Atomic(0)
  private static let current = Mutex<(any LockObserver)?>(nil)

  static var isOn: Bool { on.load(ordering: .relaxed) }
  static func makeName() -> Int { names.add(1, ordering: .relaxed).newValue }

  /// The observer, of the whole process; set it while no thread is inside the plane.
  package static var observer: (any LockObserver)? {
    get { current.withLock { $0 } }
    set {
      current.withLock { $0 = newValue }
      on.store(newValue != nil, ordering: .releasing)
    }
  }
}
