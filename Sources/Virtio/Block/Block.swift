import HostOS
import Synchronization

/// A virtio disk over a raw image (virtio 1.2, 5.2), with one queue that a thread of its own serves.
public final class Block: VirtioDevice {
  /// The length of the identification string in bytes (5.2.6).
  public static var serialCount: Int { 20 }

  /// The device's name in the log.
  public let name: String

  private let image: DiskImage
  private let serial: String
  private let bytes: ConfigurationBytes
  private let worker = Mutex<QueueWorker?>(nil)

  private static var queueSize: UInt16 { 256 }

  /// Makes a disk.
  ///
  /// - Parameters:
  ///   - image: What it stores its sectors in.
  ///   - name: Its name in log lines and of its thread, such as `disk0`.
  ///   - serial: What the guest reads as its identification, 20 bytes of it; the name if not given.
  public init(_ image: DiskImage, name: String, serial: String? = nil) {
    self.image = image
    self.name = name
    self.serial = serial ?? name
    // 5.2.4
    var bytes = ConfigurationBytes()
    bytes.set(image.count / DiskImage.sectorSize, at: 0)
    // A request has a header and a status besides its data, and as many buffers as the queue has
    // entries at most (2.7.5.3.1).
    bytes.set(UInt32(Self.queueSize - 2), at: 12)
    bytes.set(UInt32(DiskImage.sectorSize), at: 20)
    self.bytes = bytes
  }

  /// A block device.
  public var type: VirtioDeviceType { .block }

  /// Flush and limits; read-only where the image is.
  public var features: VirtioFeatures {
    let always: VirtioFeatures = [.blockSegmentMaximum, .blockSize, .blockFlush]
    return image.isReadOnly ? always.union(.blockReadOnly) : always
  }

  /// One queue.
  public var queueSizes: [UInt16] { [Self.queueSize] }

  /// `struct virtio_blk_config` up to `write_zeroes_may_unmap` and its padding.
  public var configurationCount: Int { 60 }

  /// Capacity and limits; they never change.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    bytes.read(offset: offset, width: width)
  }

  /// Makes what answers the queue's requests, for a loop other than a ``QueueWorker``'s.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active.
  public func makeService(_ activation: VirtioActivation) -> any QueueService {
    BlockService(image, serial: serial, activation)
  }

  /// Starts the thread that serves the queue.
  public func activate(_ activation: VirtioActivation) throws {
    let (image, serial) = (image, serial)
    let started = try QueueWorker(
      "virtio-\(name)",
      serving: activation.queues.compactMap { $0 },
      of: activation
    ) {
      BlockService(image, serial: serial, activation)
    }
    worker.withLock { $0 = started }
  }

  /// Ends the thread after the request that it is at.
  public func reset() {
    worker.withLock { $0.take() }?.stop()
  }
}
