import Synchronization

/// A virtio disk over a raw image (virtio 1.2, 5.2), each of whose queues a thread of its own serves.
public final class Block: VirtioDevice {
  /// The length of the identification string in bytes (5.2.6).
  public static var serialCount: Int { 20 }

  /// The device's name in the log.
  public let name: String

  private let image: DiskImage
  private let serial: String
  private let bytes: ConfigurationBytes
  private let queueCount: Int
  private let cache = BlockCache()
  private let workers: QueueWorkers

  private static var queueSize: UInt16 { 256 }

  /// Makes a disk.
  ///
  /// - Parameters:
  ///   - image: What it stores its sectors in.
  ///   - name: Its name in log lines and of its thread, such as `disk0`.
  ///   - serial: What the guest reads as its identification, 20 bytes of it; the name if not given.
  ///   - queueCount: How many queues it has, 1 to 64; as many as the guest has processors is good.
  ///   - threads: Serve the queues, dealt out in turn; without any, each queue gets one of its own.
  ///   - polling: How threads of its own wait.
  public init(
    _ image: DiskImage,
    name: String,
    serial: String? = nil,
    queueCount: Int = 1,
    threads: [QueueThread] = [],
    polling: QueuePolling = .off
  ) {
    precondition((1...64).contains(queueCount), "\(queueCount) queues")
    self.image = image
    self.name = name
    self.serial = serial ?? name
    self.queueCount = queueCount
    bytes = BlockConfiguration.bytes(of: image, queueCount: queueCount, queueSize: Self.queueSize)
    workers = QueueWorkers(
      name,
      groups: (0..<queueCount).map { [$0] },
      threads: threads,
      polling: polling
    )
  }

  /// A block device.
  public var type: VirtioDeviceType { .block }

  /// Flush, cache, limits and ranges; read-only where the image is.
  public var features: VirtioFeatures {
    var features: VirtioFeatures = [
      .blockSegmentMaximum, .blockSize, .blockFlush, .blockTopology, .blockWriteCache,
    ]
    if queueCount > 1 { features.formUnion(.blockMultiQueue) }
    features.formUnion(image.isReadOnly ? .blockReadOnly : [.blockDiscard, .blockWriteZeroes])
    return features
  }

  /// One queue, or several of the same size.
  public var queueSizes: [UInt16] { Array(repeating: Self.queueSize, count: queueCount) }

  /// `struct virtio_blk_config` up to `write_zeroes_may_unmap` and its padding.
  public var configurationCount: Int { BlockConfiguration.count }

  /// Capacity and limits, and whether there is a write cache.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    var bytes = bytes
    bytes.set(UInt8(cache.isOn ? 1 : 0), at: Int(BlockConfiguration.writebackOffset))
    return bytes.read(offset: offset, width: width)
  }

  /// Switches the write cache; nothing else can be written.
  public func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    let place = BlockConfiguration.writebackOffset
    guard offset <= place, place - offset < UInt64(width) else { return }
    cache.isOn = value >> (8 * (place - offset)) & 0xFF != 0
  }

  /// Makes what answers the queue's requests, for a loop other than a ``QueueWorker``'s.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active.
  public func makeService(_ activation: VirtioActivation) -> any QueueService {
    BlockService(image, serial: serial, cache, activation)
  }

  /// Starts to serve the queues.
  public func activate(_ activation: VirtioActivation) throws {
    let (image, serial, cache) = (image, serial, cache)
    try workers.start(activation) { _ in BlockService(image, serial: serial, cache, activation) }
  }

  /// Ends after the requests that are under way.
  public func reset() {
    workers.stop()
    // 5.2.5.1: the cache is on unless the driver says otherwise.
    cache.isOn = true
  }

  /// Ends after the requests that are under way; the cache stays as it is.
  public func suspend() { workers.stop() }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}

/// Whether a write may be completed before it is on stable storage; any thread may look and switch.
final class BlockCache: Sendable {
  private let state = Atomic(true)

  var isOn: Bool {
    get { state.load(ordering: .relaxed) }
    set { state.store(newValue, ordering: .relaxed) }
  }
}
