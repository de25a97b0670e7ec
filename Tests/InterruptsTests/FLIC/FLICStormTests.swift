import HostOS
import Interrupts
import Synchronization
import TestSupport
import Testing

/// Many interrupts, many threads, and callers that mean harm.
@Suite struct FLICStormTests {
  @Test func aMillionPendingAreFirstInFirstOut() throws {
    var configuration = FLICConfiguration()
    configuration.ioLimit = 1 << 20
    let flic = FLICBench(configuration).flic
    for number in 0..<1 << 20 as Range<UInt32> {
      try flic.enqueue(
        .io(IOInterrupt(subchannel: 1, isc: UInt8(number & 7), parameter: number))
      )
    }
    #expect(flic.pendingCount == 1 << 20)

    var isInOrder = true
    for isc in 0..<8 as Range<UInt32> {
      for number in stride(from: isc, to: 1 << 20, by: 8) {
        guard case .io(let io) = flic.dequeue() else { break }
        isInOrder = isInOrder && io.parameter == number && io.isc == isc
      }
    }

    #expect(isInOrder)
    #expect(flic.pendingCount == 0)
    #expect(flic.dequeue() == nil)
  }

  /// What the threads of a test share.
  private final class Shared: Sendable {
    let taken = Mutex<[UInt32]>([])
    let outOfOrder = Atomic(0)
    let producers = Atomic(3)
  }

  @Test(.timeLimit(.minutes(5)))
  func nothingIsLostOrDoubledBetweenThreads() throws {
    let flic = FLICBench().flic
    let perThread: UInt32 = 20_000
    let shared = Shared()
    flic.attach(FakeTarget())
    var threads: [TestThread] = []
    for _ in 0..<2 { threads.append(try Self.makeTaker(flic, shared)) }
    for maker in 0..<3 as Range<UInt32> {
      threads.append(try Self.makeMaker(maker, perThread, flic, shared))
    }

    for thread in threads { thread.join() }

    let taken = shared.taken.withLock { $0 }
    #expect(taken.count == 3 * Int(perThread))
    #expect(Set(taken).count == taken.count)
    #expect(shared.outOfOrder.load(ordering: .relaxed) == 0)
    #expect(flic.pendingCount == 0)
  }

  private static func makeMaker(
    _ maker: UInt32,
    _ count: UInt32,
    _ flic: FloatingInterruptController,
    _ shared: Shared
  ) throws -> TestThread {
    try TestThread {
      for number in 0..<count {
        let interrupt = FloatingInterrupt.io(
          IOInterrupt(subchannel: 1, isc: UInt8(maker), parameter: maker << 24 | number)
        )
        while (try? flic.enqueue(interrupt)) == nil {}
      }
      shared.producers.subtract(1, ordering: .sequentiallyConsistent)
    }
  }

  private static func makeTaker(
    _ flic: FloatingInterruptController,
    _ shared: Shared
  ) throws -> TestThread {
    try TestThread {
      var last: [UInt32: UInt32] = [:]
      var mine: [UInt32] = []
      while true {
        let isOver = shared.producers.load(ordering: .sequentiallyConsistent) == 0
        guard case .io(let io)? = flic.dequeue() else {
          if isOver { break }
          continue
        }
        // What one thread enqueues in a subclass comes out in its order.
        let maker = io.parameter >> 24
        if let before = last[maker], before > io.parameter {
          shared.outOfOrder.add(1, ordering: .relaxed)
        }
        last[maker] = io.parameter
        mine.append(io.parameter)
      }
      shared.taken.withLock { [mine] in $0 += mine }
    }
  }

  @Test(.timeLimit(.minutes(5)))
  func aProcessorThatGoesIdleIsWokenForWhatItDidNotSee() throws {
    let flic = FLICBench().flic
    let processor = SleepyProcessor(flic)
    flic.attach(processor)
    let count: UInt32 = 20_000
    let thread = try TestThread { processor.run(until: count) }

    for number in 0..<count {
      while (try? flic.enqueue(.virtio(.init(number)))) == nil {}
    }
    let isDone = waitUntil { processor.taken == count }

    #expect(isDone)
    processor.stop()
    thread.join()
    flic.detach(processor)
  }

  /// Takes interrupts, and sleeps while there are none.
  private final class SleepyProcessor: FloatingInterruptTarget {
    private let flic: FloatingInterruptController
    private let isIdle = Atomic(false)
    private let isStopped = Atomic(false)
    private let count = Atomic<UInt32>(0)
    private let wakeUps = Atomic(0)

    init(_ flic: FloatingInterruptController) { self.flic = flic }

    var taken: UInt32 { count.load(ordering: .sequentiallyConsistent) }
    var activity: ProcessorActivity {
      isIdle.load(ordering: .sequentiallyConsistent) ? .idle : .running
    }
    func canTake(_ interruptClass: FloatingInterruptClasses) -> Bool { true }
    func wake() { wakeUps.add(1, ordering: .sequentiallyConsistent) }
    func stop() {
      isStopped.store(true, ordering: .sequentiallyConsistent)
      wake()
    }

    func run(until end: UInt32) {
      let window = InterruptWindow(classes: .all, cr14: .max)
      while !isStopped.load(ordering: .sequentiallyConsistent), taken < end {
        let seen = wakeUps.load(ordering: .sequentiallyConsistent)
        isIdle.store(true, ordering: .sequentiallyConsistent)
        if !flic.hasInterrupt(for: window) {
          _ = waitUntil(seconds: 60) { wakeUps.load(ordering: .sequentiallyConsistent) != seen }
        }
        isIdle.store(false, ordering: .sequentiallyConsistent)
        while flic.take(for: window) != nil { count.add(1, ordering: .sequentiallyConsistent) }
      }
    }
  }

  // MARK: Harm

  @Test(arguments: 0..<16)
  func noCallTrapsAndAFailedOneChangesNothing(seed: UInt64) throws {
    var random = SeededNumbers(state: seed)
    var configuration = FLICConfiguration()
    configuration.ioLimit = 40
    configuration.virtioLimit = 10
    configuration.pageFaultLimit = 10
    configuration.hasSuppression = seed % 4 != 0
    let bench = FLICBench(configuration)
    for target in [FakeTarget(.idle), FakeTarget(.stopped)] { bench.flic.attach(target) }
    var model = FLICModel(configuration)

    for _ in 0..<4000 {
      let call = Call(&random)
      let before = Snapshot(bench)
      let code = call.run(on: bench)
      #expect(code == 0 || Snapshot(bench) == before, "\(call)")
      model.apply(call, code)
      #expect(bench.flic.pending == model.listed, "\(call) \(code)")
      guard bench.flic.pending == model.listed else { return }
    }
  }

  /// All that can be seen of a controller.
  private struct Snapshot: Equatable {
    let pending: [FloatingInterrupt]
    let suppression: AdapterSuppression
    let allowsPageFaults: Bool
    let adapters: [IOAdapter?]

    init(_ bench: FLICBench) {
      pending = bench.flic.pending
      suppression = bench.flic.suppression
      allowsPageFaults = bench.flic.allowsPageFaults
      adapters = (0..<64 as Range<UInt32>).map { bench.flic.adapter($0) }
    }
  }
}
