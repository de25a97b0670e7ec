import DeviceModel
import Glibc
import Synchronization

/// The processor time that the calling thread has used, in nanoseconds.
///
/// Not wall time: on a machine with fewer processors than threads that would measure the scheduler.
func threadTime() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

/// Threads that run one closure each, to the end.
@safe
final class Workers {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private var threads: [pthread_t] = []

  func start(_ run: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
    let result = unsafe pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      },
      body
    )
    precondition(result == 0, "pthread_create: \(result)")
    threads.append(thread)
  }

  func join() {
    for thread in threads { pthread_join(thread, nil) }
    threads = []
  }
}

/// What is measured.
enum Subject {
  case bus
  case plainC
  case branchlessC

  /// Reads every address of `layout` once.
  func readAll(_ layout: Layout, _ view: BusView) -> UInt64 {
    switch self {
    case .bus: layout.readAll(view)
    case .plainC: layout.readAllInC()
    case .branchlessC: layout.readAllInBranchlessC()
    }
  }
}

/// How often a further thread changes the bus meanwhile.
enum Churn: CaseIterable {
  case none
  /// A thousand times a second.
  case steady
  /// Without a pause.
  case incessant

  var label: String {
    switch self {
    case .none: "none"
    case .steady: "1000/s"
    case .incessant: "no pause"
    }
  }
}

/// What the threads of one measurement share.
final class Context: Sendable {
  private let ready = Atomic<Int>(0)
  let running: Atomic<Int>
  let updates = Atomic<Int>(0)
  let total = Mutex(0.0)

  init(readers: Int) { running = Atomic(readers) }

  /// Waits until `count` threads have arrived.
  func arrive(_ count: Int) {
    ready.add(1, ordering: .acquiringAndReleasing)
    while ready.load(ordering: .acquiring) < count { sched_yield() }
  }
}

/// Measures one configuration once.
///
/// - Returns: Nanoseconds of processor time for each lookup, the mean of the readers; and updates of the bus per second
///   of wall time.
func measure(
  _ subject: Subject,
  on layout: Layout,
  readers: Int,
  passes: Int,
  churn: Churn = .none
) -> (time: Double, updatesPerSecond: Double) {
  let clock = ContinuousClock()
  let begin = clock.now
  let workers = Workers()
  let started = readers + (churn == .none ? 0 : 1)
  let context = Context(readers: readers)
  for _ in 0..<readers {
    workers.start {
      let view = BusView(of: layout.bus)
      var sum = subject.readAll(layout, view)
      context.arrive(started)
      let begin = threadTime()
      for _ in 0..<passes {
        sum &+= subject.readAll(layout, view)
      }
      let time = threadTime() - begin
      context.running.subtract(1, ordering: .releasing)
      precondition(sum != 0)
      context.total.withLock { $0 += time }
    }
  }
  if churn != .none {
    workers.start {
      context.arrive(started)
      // Between two devices in the middle, so that half the table moves.
      let middle = UInt64(layout.bus.mappings.count / 2) * Layout.stride
      let range = BusRange(Layout.base + middle + Layout.size, size: 0x10)
      while context.running.load(ordering: .acquiring) > 0 {
        guard let ticket = try? layout.bus.register(ValueDevice(0), name: "churn", at: [range])
        else { preconditionFailure("the churned range is taken") }
        layout.bus.remove(ticket)
        context.updates.add(2, ordering: .relaxed)
        if churn == .steady { usleep(2000) }
      }
    }
  }
  workers.join()
  let lookups = Double(readers * passes * Layout.addressCount)
  let updates = Double(context.updates.load(ordering: .relaxed))
  return (context.total.withLock { $0 } / lookups, updates / ((clock.now - begin) / .seconds(1)))
}
