public import HostOS

/// A virtio memory balloon (virtio 1.2, 5.5): takes memory of a guest that can spare it, and gives it back
/// to the host.
///
/// Left out of the standard are `VIRTIO_BALLOON_F_MUST_TELL_HOST`, since pages are there as soon as the
/// guest uses them again, and free-page hints for a migration (`_FREE_PAGE_HINT`).
public final class Balloon: VirtioDevice {
  /// What a balloon offers.
  public struct Options: Equatable, Sendable {
    /// Whether the driver may take pages back where it has none left.
    public var deflatesOnOOM: Bool
    /// Whether the driver tells of pages that are free, which the host then has until they are used.
    public var reportsFreePages: Bool

    /// Chooses what is offered.
    public init(deflatesOnOOM: Bool = true, reportsFreePages: Bool = true) {
      self.deflatesOnOOM = deflatesOnOOM
      self.reportsFreePages = reportsFreePages
    }
  }

  /// The device's name in the log.
  public let name: String

  private let options: Options
  private let shared: BalloonShared
  private let workers: QueueWorkers

  /// Makes a balloon.
  ///
  /// - Parameters:
  ///   - target: How many bytes of the guest's memory it is to take.
  ///   - options: What is offered.
  ///   - threads: Who serves its queues; see ``QueueWorkers``.
  ///   - name: Its name in log lines and of its thread.
  /// - Throws: `SystemError` if the host has no descriptor left.
  public init(
    target: UInt64 = 0,
    options: Options = Options(),
    threads: [QueueThread] = [],
    name: String = "balloon0"
  ) throws(SystemError) {
    self.name = name
    self.options = options
    shared = try BalloonShared(target: Self.pages(target))
    workers = QueueWorkers(name, groups: [[0, 1, 2, 3, 4]], threads: threads)
  }

  /// A memory balloon.
  public var type: VirtioDeviceType { .balloon }

  /// Statistics, and what was chosen.
  public var features: VirtioFeatures {
    var features: VirtioFeatures = .balloonStatistics
    if options.deflatesOnOOM { features.insert(.balloonDeflateOnOOM) }
    if options.reportsFreePages { features.formUnion([.balloonPagePoison, .balloonReporting]) }
    return features
  }

  /// For inflating, deflating and statistics; for free-page hints, which are not offered; and for free
  /// pages (5.5.2).
  ///
  /// Linux has free pages in the queue for hints where there are none, and reports 32 of them at once.
  public var queueSizes: [UInt16] { [128, 128, 8, 32, 32] }
  /// `struct virtio_balloon_config` (5.5.4).
  public var configurationCount: Int { BalloonConfiguration.count }

  /// The size that is wanted, and what the driver has written.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    shared.configuration.read(offset: offset, width: width)
  }

  /// Takes the size that there is, and what free pages are filled with.
  public func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    shared.write(value, offset: offset, width: width)
  }

  // MARK: Control

  /// How many bytes it is to take; any thread may look.
  public var target: UInt64 { UInt64(shared.target) * BalloonConfiguration.pageSize }
  /// How many bytes the guest says that it has given; any thread may look.
  public var actual: UInt64 { UInt64(shared.actual) * BalloonConfiguration.pageSize }
  /// How many bytes were given back to the host since the device was made, some maybe more than once.
  public var discardedBytes: UInt64 { shared.discardedBytes }

  /// Has the driver give memory, or take it back, until it has given `bytes`; any thread may call.
  ///
  /// Bytes that are no whole page are left out.
  public func setTarget(_ bytes: UInt64) { shared.setTarget(Self.pages(bytes)) }

  /// How the guest's memory was used when its driver told last, and how often it has told; any thread
  /// may look.
  public var statistics: (latest: BalloonStatistics?, count: UInt64) { shared.statistics }

  /// Asks the driver how its memory is used; the answer shows in ``statistics``.
  ///
  /// Any thread may call. A driver that does not answer is not waited for.
  public func requestStatistics() { shared.requestStatistics() }

  /// Asks the driver how its memory is used, and waits for the answer.
  ///
  /// One thread at a time may call, none of the device's own.
  ///
  /// - Parameter limit: How long to wait, in milliseconds.
  /// - Returns: The answer, or what the driver told before if it does not answer.
  public func freshStatistics(within limit: Int32) -> BalloonStatistics? {
    shared.told.drain()
    shared.requestStatistics()
    var list = PollList()
    _ = list.add(shared.told.rawValue, for: .readable)
    list.wait(timeout: limit)
    return shared.statistics.latest
  }

  private static func pages(_ bytes: UInt64) -> UInt32 {
    UInt32(clamping: bytes / BalloonConfiguration.pageSize)
  }

  // MARK: Queues

  /// Makes what serves the queues, for a loop other than that of a ``QueueThread``.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active.
  public func makeService(_ activation: VirtioActivation) -> any QueueService {
    BalloonService(shared, activation)
  }

  /// Starts the thread that serves the queues.
  public func activate(_ activation: VirtioActivation) throws {
    let shared = shared
    shared.begin(activation.signals)
    try workers.start(activation) { _ in BalloonService(shared, activation) }
  }

  /// Ends the thread.
  public func reset() {
    workers.stop()
    shared.end()
  }

  /// Ends the thread; what the driver has told stays.
  public func suspend() { workers.stop() }

  /// How much the driver has given, and what it fills free pages with.
  public var savedState: [UInt8] { shared.savedState }

  /// Takes both over.
  public func restore(_ state: [UInt8]) throws(VirtioStateError) { try shared.restore(state) }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}
