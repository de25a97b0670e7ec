public import DeviceModel
public import GuestMemory
import HostOS
public import Logging

/// A virtio device behind a window of memory and one interrupt line (virtio 1.2, 4.2).
///
/// Put it on a bus as one range of ``windowCount`` bytes, at the address that it was made with.
/// Version 2 only: the legacy interface is not offered. Register accesses come from any vCPU.
public final class MMIOTransport: BusDevice {
  /// The length of the window in bytes.
  public static var windowCount: UInt64 { 0x200 }

  /// The registers without their layout, and the device behind them.
  public let controller: VirtioDeviceController
  /// Where the window is in guest memory.
  public let address: GuestAddress

  private let interrupts: MMIOInterrupts
  private let doorbells: (any DoorbellRegistry)?

  /// Puts `device` behind a window at `address`.
  ///
  /// - Parameters:
  ///   - device: The device, which belongs to this transport from now on.
  ///   - address: Where its window will be on the bus.
  ///   - memory: The guest's RAM.
  ///   - line: The device's interrupt line.
  ///   - doorbells: Where queue notifications are caught before they reach ``write(_:_:)``; without
  ///     it they are handled there.
  ///   - features: What is offered beside the features of the device's type; without doorbells
  ///     `VIRTIO_F_NOTIFICATION_DATA` comes with it.
  ///   - logger: Where to say what a driver did wrong.
  /// - Throws: `SystemError`, or what the doorbell registry throws.
  public init(
    _ device: any VirtioDevice,
    at address: GuestAddress,
    memory: GuestMemory,
    line: any InterruptLine,
    doorbells: (any DoorbellRegistry)?,
    features: VirtioFeatures = .common,
    logger: Logger
  ) throws {
    self.address = address
    self.doorbells = doorbells
    let interrupts = MMIOInterrupts(line)
    self.interrupts = interrupts
    let controller = try VirtioDeviceController(
      device,
      memory: memory,
      interrupts: interrupts,
      // A doorbell rings for a queue's bare number only: with data beside it, every notification
      // would go around.
      features: doorbells == nil ? features.union(.notificationData) : features,
      logger: logger
    )
    self.controller = controller
    var attached = 0
    do {
      for (index, kick) in controller.kicks.enumerated() {
        try doorbells?.attach(doorbell(index), to: kick)
        attached += 1
      }
    } catch {
      for index in 0..<attached {
        try? doorbells?.detach(doorbell(index), from: controller.kicks[index])
      }
      throw error
    }
  }

  /// Takes down the doorbells and stops the device; the window must be off the bus by then.
  public func shutDown() throws {
    controller.reset()
    for (index, kick) in controller.kicks.enumerated() {
      try doorbells?.detach(doorbell(index), from: kick)
    }
  }

  /// The write that notifies queue `index`: its number, in 32 bits (4.2.2).
  private func doorbell(_ index: Int) -> Doorbell {
    Doorbell(
      address: (address &+ MMIORegister.queueNotify.rawValue).rawValue,
      width: 4,
      value: UInt64(index)
    )
  }

  /// Reads a register of 32 bits, or 1 to 8 bytes of the device's configuration.
  public func read(_ access: BusAccess) -> UInt64 {
    if access.offset >= MMIORegister.configuration {
      return controller.readConfiguration(
        offset: access.offset &- MMIORegister.configuration,
        width: access.width
      )
    }
    // 4.2.2.2: the driver uses aligned 32-bit accesses only.
    guard access.width == 4, let register = MMIORegister(rawValue: access.offset) else { return 0 }
    return UInt64(read(register))
  }

  /// Writes a register of 32 bits, or 1 to 8 bytes of the device's configuration.
  public func write(_ value: UInt64, _ access: BusAccess) {
    if access.offset >= MMIORegister.configuration {
      controller.writeConfiguration(
        value,
        offset: access.offset &- MMIORegister.configuration,
        width: access.width
      )
      return
    }
    guard access.width == 4, let register = MMIORegister(rawValue: access.offset) else { return }
    write(UInt32(truncatingIfNeeded: value), register)
  }

  private func read(_ register: MMIORegister) -> UInt32 {
    switch register {
    case .magicValue: 0x7472_6976  // "virt"
    case .version: 2
    case .deviceID: UInt32(controller.device.type.rawValue)
    case .vendorID: 0x5355_5041  // "APUS"
    case .deviceFeatures: controller.deviceFeatures
    case .queueSizeMaximum: UInt32(controller.queueMaximumSize)
    case .queueReady: controller.isQueueEnabled ? 1 : 0
    case .interruptStatus: interrupts.status
    case .status: UInt32(controller.status.rawValue)
    // 4.2.2: a shared memory region that does not exist has a length and a base of all ones.
    case .sharedMemoryLengthLow, .sharedMemoryLengthHigh: .max
    case .sharedMemoryBaseLow, .sharedMemoryBaseHigh: .max
    case .configurationGeneration: controller.configurationGeneration
    case .deviceFeaturesSelect, .driverFeatures, .driverFeaturesSelect, .queueSelect, .queueSize,
      .queueNotify, .interruptAcknowledge, .queueDescriptorsLow, .queueDescriptorsHigh,
      .queueDriverLow, .queueDriverHigh, .queueDeviceLow, .queueDeviceHigh, .sharedMemorySelect,
      // A reset is over before the write of it returns.
      .queueReset:
      0
    }
  }

  private func write(_ value: UInt32, _ register: MMIORegister) {
    switch register {
    case .deviceFeaturesSelect: controller.deviceFeatureSelect = value
    case .driverFeaturesSelect: controller.driverFeatureSelect = value
    case .driverFeatures: controller.driverFeatures = value
    // A number that does not fit selects a queue that does not exist.
    case .queueSelect: controller.queueSelect = UInt16(clamping: value)
    // A size that does not fit is above every limit, which enabling finds.
    case .queueSize: controller.queueSize = UInt16(clamping: value)
    case .queueReady:
      if value & 1 == 1 { controller.enableQueue() } else { controller.disableQueue() }
    // 4.2.3.3: with VIRTIO_F_NOTIFICATION_DATA the number has the low 16 bits.
    case .queueNotify:
      controller.notify(controller.hasNotificationData ? Int(value & 0xFFFF) : Int(value))
    case .interruptAcknowledge: interrupts.acknowledge(value)
    // The field has 8 bits; a driver that sets others means nothing by them.
    case .status: controller.writeStatus(UInt8(truncatingIfNeeded: value))
    case .queueDescriptorsLow: controller.setQueueAddressLow(.descriptors, to: value)
    case .queueDescriptorsHigh: controller.setQueueAddressHigh(.descriptors, to: value)
    case .queueDriverLow: controller.setQueueAddressLow(.available, to: value)
    case .queueDriverHigh: controller.setQueueAddressHigh(.available, to: value)
    case .queueDeviceLow: controller.setQueueAddressLow(.used, to: value)
    case .queueDeviceHigh: controller.setQueueAddressHigh(.used, to: value)
    case .queueReset: if value & 1 == 1 { controller.resetQueue() }
    case .magicValue, .version, .deviceID, .vendorID, .deviceFeatures, .queueSizeMaximum,
      .interruptStatus, .sharedMemorySelect, .sharedMemoryLengthLow, .sharedMemoryLengthHigh,
      .sharedMemoryBaseLow, .sharedMemoryBaseHigh, .configurationGeneration:
      break
    }
  }
}
