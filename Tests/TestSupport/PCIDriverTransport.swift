public import Virtio

/// The registers of a virtio device behind PCI, in the one BAR that it has (virtio 1.2, 4.1.4).
public final class PCIDriverTransport: MockTransport {
  /// Reads `width` bytes at an offset of BAR 0.
  public typealias Read = (_ offset: UInt64, _ width: Int) -> UInt64
  /// Writes `width` bytes at an offset of BAR 0.
  public typealias Write = (_ value: UInt64, _ offset: UInt64, _ width: Int) -> Void

  /// Where the notification register of queue 0 is.
  public static var notification: UInt64 { 0x3000 }

  private let read: Read
  private let write: Write
  /// The MSI-X vector of queues that are enabled from now on; none at first.
  public var vector: UInt16 = 0xFFFF

  /// Drives the device that is reached by `read` and `write`.
  public init(read: @escaping Read, write: @escaping Write) {
    self.read = read
    self.write = write
  }

  /// The device status.
  public var status: UInt8 {
    get { UInt8(truncatingIfNeeded: read(0x14, 1)) }
    set { write(UInt64(newValue), 0x14, 1) }
  }

  /// All offered feature bits.
  public var deviceFeatures: UInt64 {
    write(0, 0x00, 4)
    let low = read(0x04, 4)
    write(1, 0x00, 4)
    return low | read(0x04, 4) << 32
  }

  /// Accepts feature bits, 32 at a time.
  public func acceptFeatures(_ features: UInt64) {
    write(0, 0x08, 4)
    write(features & 0xFFFF_FFFF, 0x0C, 4)
    write(1, 0x08, 4)
    write(features >> 32, 0x0C, 4)
  }

  /// The most entries of queue `index`.
  public func maximumSize(of index: UInt16) -> UInt16 {
    write(UInt64(index), 0x16, 2)
    return UInt16(truncatingIfNeeded: read(0x18, 2))
  }

  /// Places and enables queue `index`.
  public func enableQueue(_ index: UInt16, _ queue: MockQueue) -> Bool {
    write(UInt64(index), 0x16, 2)
    write(UInt64(queue.size), 0x18, 2)
    write(UInt64(vector), 0x1A, 2)
    let parts = [queue.descriptorTable, queue.availableRing, queue.usedRing]
    for (part, offset) in zip(parts, [0x20, 0x28, 0x30] as [UInt64]) {
      write(part.rawValue & 0xFFFF_FFFF, offset, 4)
      write(part.rawValue >> 32, offset + 4, 4)
    }
    write(1, 0x1C, 2)
    return read(0x1C, 2) == 1
  }

  /// Resets queue `index` alone.
  public func resetQueue(_ index: UInt16) -> Bool {
    write(UInt64(index), 0x16, 2)
    write(1, 0x3A, 2)
    return read(0x3A, 2) == 0 && read(0x1C, 2) == 0
  }

  /// Notifies queue `index`.
  public func notify(_ index: UInt16) {
    write(UInt64(index), Self.notification + 4 * UInt64(index), 2)
  }

  /// Reads the device's configuration.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    read(0x2000 + offset, width)
  }
}
