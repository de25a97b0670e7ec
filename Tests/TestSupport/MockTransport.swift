public import DeviceModel
public import GuestMemory
public import Virtio

/// A driver's view of a transport: the registers, whatever their layout.
public protocol MockTransport: AnyObject {
  /// The device status; writing 0 resets.
  var status: UInt8 { get set }
  /// All offered feature bits.
  var deviceFeatures: UInt64 { get }
  /// Accepts feature bits.
  func acceptFeatures(_ features: UInt64)
  /// The most entries of queue `index`; 0 if there is no such queue.
  func maximumSize(of index: UInt16) -> UInt16
  /// Places and enables queue `index`, and returns whether it is enabled then.
  func enableQueue(_ index: UInt16, _ queue: MockQueue) -> Bool
  /// Resets queue `index` alone (virtio 1.2, 2.6.1), and returns whether it is disabled then.
  func resetQueue(_ index: UInt16) -> Bool
  /// Notifies queue `index`.
  func notify(_ index: UInt16)
  /// Reads the device's configuration.
  func readConfiguration(offset: UInt64, width: Int) -> UInt64
}

/// No transport at all: straight to the registers behind every transport.
public final class DirectTransport: MockTransport {
  private let controller: VirtioDeviceController

  /// Drives the device behind `controller`.
  public init(_ controller: VirtioDeviceController) { self.controller = controller }

  /// The device status.
  public var status: UInt8 {
    get { controller.status.rawValue }
    set { controller.writeStatus(newValue) }
  }

  /// All offered feature bits.
  public var deviceFeatures: UInt64 {
    controller.deviceFeatureSelect = 0
    let low = controller.deviceFeatures
    controller.deviceFeatureSelect = 1
    return UInt64(low) | UInt64(controller.deviceFeatures) << 32
  }

  /// Accepts feature bits, 32 at a time.
  public func acceptFeatures(_ features: UInt64) {
    controller.driverFeatureSelect = 0
    controller.driverFeatures = UInt32(truncatingIfNeeded: features)
    controller.driverFeatureSelect = 1
    controller.driverFeatures = UInt32(truncatingIfNeeded: features >> 32)
  }

  /// The most entries of queue `index`.
  public func maximumSize(of index: UInt16) -> UInt16 {
    controller.queueSelect = index
    return controller.queueMaximumSize
  }

  /// Places and enables queue `index`.
  public func enableQueue(_ index: UInt16, _ queue: MockQueue) -> Bool {
    controller.queueSelect = index
    controller.queueSize = queue.size
    controller.setQueueAddress(.descriptors, to: queue.descriptorTable.rawValue)
    controller.setQueueAddress(.available, to: queue.availableRing.rawValue)
    controller.setQueueAddress(.used, to: queue.usedRing.rawValue)
    controller.enableQueue()
    return controller.isQueueEnabled
  }

  /// Resets queue `index` alone.
  public func resetQueue(_ index: UInt16) -> Bool {
    controller.queueSelect = index
    controller.resetQueue()
    return !controller.isQueueEnabled
  }

  /// Notifies queue `index`.
  public func notify(_ index: UInt16) { controller.notify(Int(index)) }

  /// Reads the device's configuration.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    controller.readConfiguration(offset: offset, width: width)
  }
}

/// The registers of the MMIO transport, at offsets from the start of its window (virtio 1.2, 4.2.2).
public final class MMIODriverTransport: MockTransport {
  private let device: any BusDevice

  /// Drives the device behind the window `device`.
  public init(_ device: any BusDevice) { self.device = device }

  /// Reads a register.
  public func read(_ offset: UInt64, width: Int = 4) -> UInt64 {
    device.read(BusAccess(offset: offset, width: width))
  }

  /// Writes a register.
  public func write(_ value: UInt64, _ offset: UInt64, width: Int = 4) {
    device.write(value, BusAccess(offset: offset, width: width))
  }

  /// The device status.
  public var status: UInt8 {
    get { UInt8(read(0x70)) }
    set { write(UInt64(newValue), 0x70) }
  }

  /// All offered feature bits.
  public var deviceFeatures: UInt64 {
    write(0, 0x14)
    let low = read(0x10)
    write(1, 0x14)
    return low | read(0x10) << 32
  }

  /// Accepts feature bits, 32 at a time.
  public func acceptFeatures(_ features: UInt64) {
    write(0, 0x24)
    write(features & 0xFFFF_FFFF, 0x20)
    write(1, 0x24)
    write(features >> 32, 0x20)
  }

  /// The most entries of queue `index`.
  public func maximumSize(of index: UInt16) -> UInt16 {
    write(UInt64(index), 0x30)
    return UInt16(read(0x34))
  }

  /// Places and enables queue `index`.
  public func enableQueue(_ index: UInt16, _ queue: MockQueue) -> Bool {
    write(UInt64(index), 0x30)
    write(UInt64(queue.size), 0x38)
    let parts = [queue.descriptorTable, queue.availableRing, queue.usedRing]
    for (part, offset) in zip(parts, [0x80, 0x90, 0xA0] as [UInt64]) {
      write(part.rawValue & 0xFFFF_FFFF, offset)
      write(part.rawValue >> 32, offset + 4)
    }
    write(1, 0x44)
    return read(0x44) == 1
  }

  /// Resets queue `index` alone.
  public func resetQueue(_ index: UInt16) -> Bool {
    write(UInt64(index), 0x30)
    write(1, 0xC0)
    return read(0xC0) == 0 && read(0x44) == 0
  }

  /// Notifies queue `index`.
  public func notify(_ index: UInt16) { write(UInt64(index), 0x50) }

  /// Reads the device's configuration.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    read(0x100 + offset, width: width)
  }
}
