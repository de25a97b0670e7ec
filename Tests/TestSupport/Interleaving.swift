import HostOS
import Interrupts
import Synchronization

/// Runs threads of the interrupt plane one step at a time, in an order that a seed chooses.
///
/// A step ends where a thread is about to take a lock of the plane; then the seed picks who goes on, among those whose lock is
/// free. All that the threads share is behind such locks, so the picks are the whole interleaving, and a seed repeats it.
public final class Interleaving: Sendable {
  /// How a run ended.
  public struct Result: Sendable {
    /// Who ran, step by step: the places of the bodies.
    public var order: [Int]
    /// Whether every thread waited for a lock that another had.
    public var isDeadlocked: Bool
  }

  private final class Worker: Sendable {
    struct State {
      var wanted: Int?
      var isFinished = false
    }

    let place: Int
    let event: EventFD
    let scheduler: EventFD
    let state = Mutex(State())

    init(_ place: Int, _ scheduler: EventFD) throws {
      self.place = place
      self.scheduler = scheduler
      event = try EventFD()
    }

    /// Lets the scheduler pick, and goes on when picked.
    func pause(wanting lock: Int?) {
      state.withLock { $0.wanted = lock }
      scheduler.signal()
      while event.drain() == 0 { event.wait() }
    }

    func finish() {
      state.withLock { $0.isFinished = true }
      scheduler.signal()
    }
  }

  /// The workers of all runs, by their threads.
  private final class Observer: LockObserver {
    static let shared = Observer()
    private let state = Mutex<(workers: [Int32: Worker], held: [Int: Int])>(([:], [:]))

    var current: Worker? { state.withLock { $0.workers[Thread.currentID] } }

    func begin(_ worker: Worker) {
      state.withLock { $0.workers[Thread.currentID] = worker }
      if LockObservation.observer == nil { LockObservation.observer = self }
    }

    func end() { state.withLock { $0.workers[Thread.currentID] = nil } }

    func isHeld(_ lock: Int) -> Bool { state.withLock { $0.held[lock, default: 0] > 0 } }

    func willLock(_ lock: Int) {
      guard let worker = current else { return }
      worker.pause(wanting: lock)
      state.withLock { $0.held[lock, default: 0] += 1 }
    }

    func didUnlock(_ lock: Int) {
      guard current != nil else { return }
      state.withLock { state in
        state.held[lock, default: 0] -= 1
        if state.held[lock] ?? 0 <= 0 { state.held[lock] = nil }
      }
    }
  }

  /// A generator that a seed repeats (SplitMix64).
  public struct Generator: RandomNumberGenerator {
    private var state: UInt64
    /// Starts at `seed`.
    public init(_ seed: UInt64) { state = seed }
    /// The next number.
    public mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var word = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
      word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
      return word ^ word >> 31
    }
  }

  /// Runs `bodies`, each on a thread of its own, until all have ended.
  ///
  /// - Parameters:
  ///   - seed: Chooses the order.
  ///   - bodies: What the threads do; ``step()`` adds a place where another may be picked.
  /// - Returns: Who ran when.
  /// - Throws: What the host refuses.
  public static func run(
    seed: UInt64,
    _ bodies: [@Sendable () -> Void]
  ) throws -> Result {
    let scheduler = try EventFD()
    let workers = try bodies.indices.map { try Worker($0, scheduler) }
    let threads = try zip(workers, bodies).map { worker, body in
      try TestThread {
        Observer.shared.begin(worker)
        worker.pause(wanting: nil)
        body()
        Observer.shared.end()
        worker.finish()
      }
    }
    var generator = Generator(seed)
    var result = Result(order: [], isDeadlocked: false)
    var waiting = workers.count
    var finished: Set<Int> = []
    while finished.count < workers.count {
      // At first all threads come to their first pause; later one runs at a time.
      while waiting > 0 {
        let count = scheduler.drain()
        if count == 0 { scheduler.wait() }
        waiting -= Int(count)
      }
      for worker in workers where worker.state.withLock({ $0.isFinished }) {
        finished.insert(worker.place)
      }
      let ready = workers.filter { worker in
        guard !finished.contains(worker.place) else { return false }
        guard let lock = worker.state.withLock({ $0.wanted }) else { return true }
        return !Observer.shared.isHeld(lock)
      }
      guard let next = ready.randomElement(using: &generator) else {
        result.isDeadlocked = finished.count < workers.count
        break
      }
      result.order.append(next.place)
      waiting = 1
      next.event.signal()
    }
    // Threads that wait for one another for ever are left behind: joining them would hang the test.
    if result.isDeadlocked {
      // Somebody has to hold their handles.
      abandoned.withLock { $0.append(Box(threads)) }
    } else {
      for thread in threads { thread.join() }
    }
    return result
  }

  /// A place where another thread may be picked, for bodies that wait for one another.
  public static func step() { Observer.shared.current?.pause(wanting: nil) }

  private static let abandoned = Mutex<[Box]>([])

  private final class Box: @unchecked Sendable {
    // Sendable: nobody looks into it.
    let threads: [TestThread]
    init(_ threads: [TestThread]) { self.threads = threads }
  }
}
