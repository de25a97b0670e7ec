import GuestMemory
import HostOS

/// Serves one queue of a disk on its thread, with as many requests under way as the queue has entries.
///
/// Data goes between the image and guest RAM without a copy. A request that fails on the host, or that
/// asks for what the disk does not have, is answered with its status, and the others go on; only a
/// request that has no room for a status breaks the queue. What ends together is shown to the driver
/// together.
final class BlockService: QueueService {
  // How many requests are begun, and how much is done, before the driver is shown what has ended. A
  // driver that sleeps meanwhile gets one interrupt for all, so more is better, up to some 0.1 ms.
  private static var beginLimit: Int { 64 }
  private static var workLimit: UInt64 { 64 }
  // Bytes that take about as long as a request without any.
  private static var workUnit: UInt64 { 16 << 10 }

  let storage: any DiskStorage
  let serial: [UInt8]
  let log: LimitedLog
  let memory: GuestMemory
  let features: VirtioFeatures
  let canFlush: Bool
  let isReadOnly: Bool
  let state: BlockState
  let requests: DiskRequests
  var chain: DescriptorChain

  private let engine: any DiskEngine
  private let isLogged: Bool
  private let gate: RateGate?
  // A request that waits at the gate; no chain is taken meanwhile.
  private var waiting: Int?
  // Begun, and not ended.
  private var pendingCount = 0
  // Whether requests have buffers of their own, since the guest's are not mapped here.
  private let isDistant: Bool
  // The bytes of all that were taken and not answered, and how many this queue may have; only where it is distant. No
  // queue can take another one's, which might not come back while this one has nothing under way that ends.
  private var heldCount: UInt64 = 0
  private let heldLimit: UInt64

  init(
    _ storage: any DiskStorage,
    _ options: Block.Options,
    _ state: BlockState,
    _ activation: VirtioActivation,
    requestLimit: Int
  ) {
    self.storage = storage
    self.state = state
    // 5.2.6: 20 bytes, padded with zeroes, without one at the end if all are used.
    let text = Array((options.serial ?? "").utf8.prefix(Block.serialCount))
    serial = text + [UInt8](repeating: 0, count: Block.serialCount - text.count)
    log = activation.signals.log
    memory = activation.memory
    isLogged = activation.memory.notesWrites
    features = activation.features
    canFlush = activation.features.contains(.blockFlush)
    isReadOnly = storage.isReadOnly
    chain = DescriptorChain(in: activation.memory)
    // Each may have buffers of its own then, which memory is bounded for.
    isDistant = activation.memory.distant != nil
    heldLimit = DistantMemory.bounceLimit / UInt64(options.queueCount)
    let count = isDistant ? min(requestLimit, 64) : requestLimit
    requests = DiskRequests(count: count, in: activation.memory)
    do {
      let gate = try options.limiter.map { limiter throws(SystemError) in try RateGate(limiter) }
      (engine, self.gate) = (try storage.makeEngine(requests, log), gate)
    } catch {
      log.error("\(storage.path): \(error); every request fails")
      (engine, gate) = (FailingEngine(requests), nil)
    }
  }

  var completions: Int32? { engine.completions }
  var hasCompletions: Bool { engine.hasCompletions }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    var work = takeEnded(&queue)
    if let waiting {
      guard let gate, gate.isOpen else { return blocked() }
      self.waiting = nil
      work &+= begin(waiting, &queue)
    }
    var begun = 0
    while begun < Self.beginLimit, work < Self.workLimit {
      guard let place = requests.take() else {
        engine.submit()
        return engine.isBusy ? .busy : .waiting
      }
      guard try queue.pop(into: &chain) else {
        requests.giveBack(place)
        engine.submit()
        return takeEnded(&queue) > 0 || engine.isBusy ? .busy : .drained
      }
      if isDistant, !hold(place) {
        queue.putBack()
        requests.giveBack(place)
        engine.submit()
        return engine.isBusy ? .busy : .waiting
      }
      begun += 1
      if let status = try prepare(&requests[place]) {
        answer(place, status, &queue)
        work &+= 1
        continue
      }
      if let gate, !gate.pass(bytes: requests[place].count) {
        waiting = place
        return blocked()
      }
      work &+= begin(place, &queue)
    }
    engine.submit()
    return .busy
  }

  func finish(_ queue: inout Virtqueue) {
    if let place = waiting {
      // It was the last to be taken.
      gate?.cancel()
      queue.putBack()
      giveBack(place)
      waiting = nil
    }
    engine.submit()
    while pendingCount > 0 {
      if takeEnded(&queue) == 0 { engine.wait() }
    }
  }

  /// Begins a request, and answers it if it has ended at once.
  ///
  /// - Returns: How much was done.
  private func begin(_ place: Int, _ queue: inout Virtqueue) -> UInt64 {
    guard engine.start(place) else {
      pendingCount += 1
      return 0
    }
    let work = 1 &+ requests[place].count / Self.workUnit
    complete(place, &queue)
    return work
  }

  /// Answers what has ended since the last time, a bounded number.
  ///
  /// - Returns: How many.
  private func takeEnded(_ queue: inout Virtqueue) -> UInt64 {
    guard pendingCount > 0 else { return 0 }
    var count: UInt64 = 0
    while count < Self.workLimit, let place = engine.takeEnded() {
      pendingCount -= 1
      complete(place, &queue)
      count += 1
    }
    return count
  }

  private func blocked() -> QueueOutcome {
    engine.submit()
    if engine.isBusy { return .busy }
    return gate?.outcome ?? .busy
  }

  private func complete(_ place: Int, _ queue: inout Virtqueue) {
    if isLogged, case .read = requests[place].operation { requests[place].vector.noteWritten() }
    guard let failure = requests[place].failure else { return answer(place, .ok, &queue) }
    report(failure, of: requests[place])
    answer(place, .ioError, &queue)
  }

  private func answer(_ place: Int, _ status: BlockRequestStatus, _ queue: inout Virtqueue) {
    // All of the chain is in RAM.
    try? memory.store8(status.rawValue, at: requests[place].status)
    // 2.7.8.2: the length counts bytes from the first on; where the data before the status was not
    // written, or not all of it, no claim is made beyond what was.
    queue.complete(requests[place].ticket, written: requests[place].written(status))
    giveBack(place)
  }

  /// Counts what the chain may take of the room for buffers.
  ///
  /// - Returns: Whether there is room; if not, something is under way that will end.
  private func hold(_ place: Int) -> Bool {
    let count = chain.readableCount &+ chain.writableCount
    guard heldCount == 0 || heldCount &+ count <= heldLimit else { return false }
    heldCount &+= count
    requests[place].heldCount = count
    return true
  }

  private func giveBack(_ place: Int) {
    if isDistant {
      heldCount &-= requests[place].heldCount
      requests[place].vector.removeAll()
    }
    requests.giveBack(place)
  }

  private func report(_ failure: DiskRequest.Failure, of request: borrowing DiskRequest) {
    let what = request.description
    switch failure {
    case .host(let code):
      log.error(
        "\(storage.path): \(what): \(SystemError(call: "", code: code).reason) (errno \(code))"
      )
    case .short(let done):
      if case .read = request.operation {
        log.error("\(storage.path): \(what): the file ends after \(done)")
      } else {
        log.error("\(storage.path): \(what): only \(done) taken")
      }
    }
  }
}
