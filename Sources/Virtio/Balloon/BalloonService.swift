import GuestMemory
import HostOS

/// Serves a balloon's queues, on one thread.
///
/// What a driver gives is given back to the host at once: the pages are gone, and read as zeroes when
/// the guest uses them again, so that nothing has to be done for those that it takes back.
final class BalloonService: QueueService {
  /// What a queue is for (virtio 1.2, 5.5.2).
  enum Role {
    case inflate
    case deflate
    case statistics
    case reporting
  }

  // Of one turn: pages, ranges, and bytes given back.
  private static var pageBatch: Int { 512 }
  private static var rangeBatch: Int { 64 }
  private static var byteBatch: UInt64 { 64 << 20 }

  private let shared: BalloonShared
  private let memory: GuestMemory
  private let log: LimitedLog
  private let features: VirtioFeatures
  private let honoursPoison: Bool
  private var reportingIndex: Int?

  private var inflating: Request
  private var reporting: Request
  private var report: DescriptorChain
  private var statistics: Request
  private var hasStatisticsQueue = false
  private var wantsStatistics = false
  private var canDiscard = true
  // The rest of a range that was too long for one turn.
  private var rest: (address: GuestAddress, count: UInt64)?

  /// A chain that takes several turns.
  private struct Request: ~Copyable {
    var chain: DescriptorChain
    var isUnderWay = false

    init(_ memory: GuestMemory) { chain = DescriptorChain(in: memory) }
  }

  init(_ shared: BalloonShared, _ activation: VirtioActivation) {
    self.shared = shared
    memory = activation.memory
    log = activation.signals.log
    features = activation.features
    reportingIndex = Self.reportingIndex(of: activation)
    honoursPoison = activation.features.contains(.balloonPagePoison)
    inflating = Request(memory)
    reporting = Request(memory)
    statistics = Request(memory)
    report = DescriptorChain(in: memory)
  }

  var completions: Int32? { shared.wake.rawValue }

  /// What a queue is for.
  ///
  /// The standard gives each a number of its own; drivers, Linux among them, leave out the numbers of
  /// those that were not agreed on, so that free pages come to queue 3, or 2, where there is no queue 4.
  private func role(of index: Int) -> Role? {
    switch index {
    case 0: .inflate
    case 1: .deflate
    case 2 where features.contains(.balloonStatistics): .statistics
    default: index == reportingIndex ? .reporting : nil
    }
  }

  /// The queue for free pages among those that may be it; the first that is served where none was enabled from
  /// the start.
  private static func reportingIndex(of activation: VirtioActivation) -> Int? {
    let indices = activation.queues.compactMap { $0?.index }
    return [4, 3, 2].first { indices.contains($0) && mayReport($0, activation.features) }
  }

  private static func mayReport(_ index: Int, _ features: VirtioFeatures) -> Bool {
    guard features.contains(.balloonReporting) else { return false }
    return index == 3 || index == 4 || index == 2 && !features.contains(.balloonStatistics)
  }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    // Nobody else would take the signal where there is no queue for statistics.
    if !hasStatisticsQueue { shared.wake.drain() }
    if reportingIndex == nil, Self.mayReport(queue.index, features) { reportingIndex = queue.index }
    return switch role(of: queue.index) {
    case .inflate: try inflate(&queue)
    case .deflate: try deflate(&queue)
    case .statistics: try tell(&queue)
    case .reporting: try free(&queue)
    case nil: .ended
    }
  }

  func finish(_ queue: inout Virtqueue) {
    switch role(of: queue.index) {
    case .inflate: Self.putBack(&inflating, &queue)
    case .reporting:
      Self.putBack(&reporting, &queue)
      rest = nil
    case .statistics:
      Self.putBack(&statistics, &queue)
      hasStatisticsQueue = false
      shared.wake.drain()
    case .deflate, nil: break
    }
  }

  /// Puts back what is under way: to give pages back again does no harm.
  private static func putBack(_ request: inout Request, _ queue: inout Virtqueue) {
    if request.isUnderWay { queue.putBack(request.chain.ticket) }
    request.isUnderWay = false
  }

  // MARK: Pages

  /// Gives pages back to the host (5.5.6.1).
  private func inflate(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    if !inflating.isUnderWay {
      guard try queue.pop(into: &inflating.chain) else { return .drained }
      inflating.isUnderWay = true
    }
    var run: (start: UInt64, count: UInt64) = (0, 0)
    for _ in 0..<Self.pageBatch {
      guard let number = inflating.chain.readWord(UInt32.self) else {
        inflating.isUnderWay = false
        queue.complete(inflating.chain, written: 0)
        break
      }
      let page = UInt64(number)
      if page == run.start + run.count, run.count > 0 {
        run.count += 1
      } else if run.count > 0, page + 1 == run.start {
        // Linux hands its pages over in either direction.
        run = (page, run.count + 1)
      } else {
        discardPages(run.start, count: run.count)
        run = (page, 1)
      }
    }
    discardPages(run.start, count: run.count)
    return .busy
  }

  /// The driver takes pages back: they are there when they are used.
  private func deflate(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.rangeBatch {
      guard try queue.pop(into: &report) else { return .drained }
      queue.complete(report, written: 0)
    }
    return .busy
  }

  private func discardPages(_ start: UInt64, count: UInt64) {
    guard count > 0 else { return }
    let size = BalloonConfiguration.pageSize
    discard(GuestAddress(start * size), count: count * size)
  }

  /// Gives back what the driver says is free, as long as it does not need it (5.5.6.7).
  private func free(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    if !reporting.isUnderWay {
      guard try queue.pop(into: &reporting.chain) else { return .drained }
      reporting.isUnderWay = true
      rest = nil
    }
    // 5.5.6.7.2: what is in the page afterwards is what the driver fills free pages with, or as before.
    let isKept = honoursPoison && shared.poison != 0
    var left = Self.byteBatch
    for _ in 0..<Self.rangeBatch {
      guard !isKept, let range = rest ?? reporting.chain.takeWritable(atMost: .max) else {
        reporting.isUnderWay = false
        rest = nil
        queue.complete(reporting.chain, written: 0)
        return .busy
      }
      let part = min(range.count, left)
      discard(range.address, count: part)
      rest = part < range.count ? (range.address &+ part, range.count - part) : nil
      left -= part
      if left == 0 { break }
    }
    return .busy
  }

  /// Gives the whole pages of a range back to the host.
  private func discard(_ address: GuestAddress, count: UInt64) {
    guard canDiscard else { return }
    do {
      shared.noteDiscarded(try memory.discard(address, count: count))
    } catch let error as GuestMemoryError {
      log.warning("the driver gives pages that it does not have: \(error)")
    } catch {
      canDiscard = false
      log.error("memory cannot be given back to the host: \(error)")
    }
  }

  // MARK: Statistics

  /// Reads what the driver tells, and keeps its buffer until more is wanted (5.5.6.3).
  private func tell(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    hasStatisticsQueue = true
    shared.wake.drain()
    if shared.takeRequest() { wantsStatistics = true }
    if wantsStatistics, statistics.isUnderWay {
      wantsStatistics = false
      statistics.isUnderWay = false
      // The driver answers with new numbers in it.
      queue.complete(statistics.chain, written: 0)
    }
    guard !statistics.isUnderWay else {
      // A driver has one of these.
      return .waiting
    }
    guard try queue.pop(into: &statistics.chain) else { return .drained }
    statistics.isUnderWay = true
    // They are new, whoever asked for them before.
    wantsStatistics = false
    shared.noteStatistics(BalloonStatistics(&statistics.chain))
    return .waiting
  }
}
