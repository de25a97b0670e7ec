import Synchronization

/// A virtio disk (virtio 1.2, 5.2), each of whose queues is served on a thread, its own or shared.
public final class Block: VirtioDevice {
  /// What a disk has besides its storage and its name.
  public struct Options: Sendable {
    /// What the guest reads as its identification, 20 bytes of it; the name if not given.
    public var serial: String?
    /// How many queues it has, 1 to ``Block/queueLimit``; as many as the guest has processors is good.
    public var queueCount: Int
    /// The most entries of a queue, a power of 2, and by it of buffers in a request: the driver's queues
    /// must not be smaller where something else than the device chooses their size.
    public var queueSize: UInt16
    /// Whether every write is on stable storage when it ends, whatever the driver asks for.
    public var isWriteThrough: Bool
    /// What its queues share of bytes and operations; `nil` is no limit.
    public var limiter: RateLimiter?

    /// Chooses what a disk has.
    public init(
      serial: String? = nil,
      queueCount: Int = 1,
      queueSize: UInt16 = 256,
      isWriteThrough: Bool = false,
      limiter: RateLimiter? = nil
    ) {
      self.serial = serial
      self.queueCount = queueCount
      self.queueSize = queueSize
      self.isWriteThrough = isWriteThrough
      self.limiter = limiter
    }

    /// With `name` for an identification, unless there is one.
    fileprivate func named(_ name: String) -> Self {
      var options = self
      options.serial = serial ?? name
      return options
    }
  }

  /// The most queues.
  public static var queueLimit: Int { 64 }
  /// The length of the identification string in bytes (5.2.6).
  public static var serialCount: Int { 20 }

  /// The most requests under way on a queue; others wait in it.
  public static var requestLimit: Int { 256 }

  /// The device's name in the log.
  public let name: String

  /// What messages call what it stores its sectors in, such as a path.
  public var path: String { storage.path }

  private let storage: any DiskStorage
  private let options: Options
  private let bytes: ConfigurationBytes
  private let state: BlockState
  private let workers: QueueWorkers
  // Of the driver that the disk has, while it has one.
  private let signals = Mutex<VirtioSignals?>(nil)
  private let isNoticed = Atomic(false)
  // Held by who looks for a new size. Lock order: this before `signals`.
  private let resizing = Mutex(())

  /// Makes a disk.
  ///
  /// - Parameters:
  ///   - source: What it stores its sectors in.
  ///   - name: Its name in log lines and of its thread, such as `disk0`.
  ///   - options: What else it has.
  ///   - threads: Serve the queues, dealt out in turn; without any, each queue gets one of its own.
  ///   - polling: How threads of its own wait.
  public convenience init(
    _ source: DiskSource,
    name: String,
    options: Options = Options(),
    threads: [QueueThread] = [],
    polling: QueuePolling = .off
  ) {
    self.init(
      storage: source.storage,
      name: name,
      options: options,
      threads: threads,
      polling: polling
    )
  }

  /// Makes a disk over a file or block device.
  public convenience init(
    _ image: DiskImage,
    name: String,
    options: Options = Options(),
    threads: [QueueThread] = []
  ) {
    self.init(DiskSource(image), name: name, options: options, threads: threads)
  }

  init(
    storage: any DiskStorage,
    name: String,
    options: Options,
    threads: [QueueThread],
    polling: QueuePolling
  ) {
    precondition((1...Self.queueLimit).contains(options.queueCount), "\(options.queueCount) queues")
    self.storage = storage
    self.name = name
    self.options = options.named(name)
    state = BlockState(count: storage.count)
    bytes = BlockConfiguration.bytes(
      of: storage,
      queueCount: options.queueCount,
      queueSize: options.queueSize
    )
    workers = QueueWorkers(
      name,
      groups: (0..<options.queueCount).map { [$0] },
      threads: threads,
      polling: polling
    )
  }

  /// A block device.
  public var type: VirtioDeviceType { .block }

  /// Flush, cache, limits and ranges, as far as the storage has them.
  public var features: VirtioFeatures {
    var features: VirtioFeatures = [.blockSegmentMaximum, .blockSize, .blockTopology]
    // 5.2.5.2: a driver without either knows that the disk writes through.
    if !options.isWriteThrough { features.formUnion([.blockFlush, .blockWriteCache]) }
    if options.queueCount > 1 { features.formUnion(.blockMultiQueue) }
    if storage.isReadOnly { features.formUnion(.blockReadOnly) }
    if storage.canDiscard { features.formUnion(.blockDiscard) }
    if storage.canZero { features.formUnion(.blockWriteZeroes) }
    return features
  }

  /// One queue, or several of the same size.
  public var queueSizes: [UInt16] {
    Array(repeating: options.queueSize, count: options.queueCount)
  }

  /// `struct virtio_blk_config` up to `write_zeroes_may_unmap` and its padding.
  public var configurationCount: Int { BlockConfiguration.count }

  /// Capacity and limits, and whether there is a write cache.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    var bytes = bytes
    bytes.set(state.count / DiskImage.sectorSize, at: 0)
    bytes.set(UInt8(isCaching ? 1 : 0), at: Int(BlockConfiguration.writebackOffset))
    return bytes.read(offset: offset, width: width)
  }

  /// Switches the write cache; nothing else can be written.
  public func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    let place = BlockConfiguration.writebackOffset
    guard offset <= place, place - offset < UInt64(width) else { return }
    state.isCaching = value >> (8 * (place - offset)) & 0xFF != 0
  }

  /// Tells the driver how large the storage is by now.
  ///
  /// Requests beyond the end fail as they did or would before; nothing is moved. Any thread may call.
  ///
  /// - Returns: The size in bytes, and whether it is another than before.
  /// - Throws: What the host says if it cannot tell; then nothing changes.
  @discardableResult
  public func resize() throws -> (count: UInt64, hasChanged: Bool) {
    // One at a time, so that the last to look is the last to tell; a driver does not wait for that.
    try resizing.withLock { _ in
      let count = try storage.measure()
      let hasChanged = count != state.count
      state.count = count
      // 5.2.5.1: the capacity may change, which the driver learns from a configuration change.
      if hasChanged { signals.withLock { $0?.configurationChanged() } }
      return (count, hasChanged)
    }
  }

  /// Makes what answers the queue's requests, for a loop other than a ``QueueThread``'s.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active. Without
  /// what it needs of the host, which the log tells of, it fails every request.
  public func makeService(_ activation: VirtioActivation) -> any QueueService {
    BlockService(storage, options, state, activation, requestLimit: Self.requestLimit)
  }

  /// Starts to serve the queues.
  public func activate(_ activation: VirtioActivation) throws {
    let (storage, options, state) = (storage, options, state)
    if let notice = storage.notice, !isNoticed.exchange(true, ordering: .relaxed) {
      activation.signals.log.warning(notice)
    }
    try workers.start(activation) { _ in
      BlockService(storage, options, state, activation, requestLimit: Self.requestLimit)
    }
    signals.withLock { $0 = activation.signals }
  }

  /// Ends after the requests that are under way.
  public func reset() {
    signals.withLock { $0 = nil }
    workers.stop()
    // 5.2.5.1: the cache is on unless the driver says otherwise.
    state.isCaching = true
  }

  /// Ends after the requests that are under way; the cache stays as it is.
  public func suspend() { workers.stop() }

  /// Whether the driver wants the cache.
  public var savedState: [UInt8] { [state.isCaching ? 1 : 0] }

  /// Has the cache on or off.
  public func restore(_ state: [UInt8]) throws(VirtioStateError) {
    guard state == [0] || state == [1] else { throw .badDevice("no state of a disk: \(state)") }
    self.state.isCaching = state == [1]
  }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }

  private var isCaching: Bool { state.isCaching && !options.isWriteThrough }
}
