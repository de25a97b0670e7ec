import Synchronization

/// A `Mutex` that ThreadSanitizer understands.
///
/// The standard library's lock is compiled without instrumentation, so where threads contend for it the sanitizer
/// misses that one follows the other, and reports what it guards. An atomic inside the lock says so in its words.
struct BusLock<Value: Sendable>: ~Copyable, Sendable {
  private let mutex: Mutex<Value>
  private let order = Atomic<Bool>(false)

  init(_ value: Value) { mutex = Mutex(value) }

  /// Runs `body` with the value, alone.
  ///
  /// - Throws: What `body` throws.
  func withLock<Result: Sendable, E: Error>(
    _ body: (inout Value) throws(E) -> Result
  ) throws(E) -> Result {
    try mutex.withLock { (value) throws(E) in
      _ = order.load(ordering: .acquiring)
      defer { order.store(true, ordering: .releasing) }
      return try body(&value)
    }
  }
}
