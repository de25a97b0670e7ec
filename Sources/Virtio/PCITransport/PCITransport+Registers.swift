public import DeviceModel

/// The structures in the BAR (virtio 1.2, 4.1.4).
extension PCITransport {
  /// Reads a register; zero where there is none of this width.
  public func readBAR(_ access: BusAccess) -> UInt64 {
    let (offset, width) = (access.offset, access.width)
    if let offset = layout.common.position(offset) {
      return readCommon(offset, width)
    }
    if let offset = layout.configuration.position(offset) {
      return controller.readConfiguration(offset: offset, width: width)
    }
    if layout.interruptStatus.position(offset) != nil, width == 1 {
      return UInt64(interrupts.takeStatus())
    }
    return 0
  }

  /// Writes a register, or notifies a queue.
  public func writeBAR(_ value: UInt64, _ access: BusAccess) {
    let (offset, width) = (access.offset, access.width)
    if let offset = layout.notification.position(offset) {
      // The doorbells take these writes, except where one could not be hung up, or the BAR has only
      // just moved.
      guard offset % PCILayout.notifyMultiplier == 0 else { return }
      controller.notify(Int(offset / PCILayout.notifyMultiplier))
      return
    }
    if let offset = layout.common.position(offset) {
      writeCommon(value, offset, width)
    } else if let offset = layout.configuration.position(offset) {
      controller.writeConfiguration(value, offset: offset, width: width)
    }
    controller.keeper?.keep()
  }

  private func readCommon(_ offset: UInt64, _ width: Int) -> UInt64 {
    guard width < 8 else {
      return readCommon(offset, 4) | readCommon(offset &+ 4, 4) << 32
    }
    guard let register = CommonRegister(offset: offset, width: width) else { return 0 }
    return UInt64(read(register))
  }

  private func writeCommon(_ value: UInt64, _ offset: UInt64, _ width: Int) {
    guard width < 8 else {
      writeCommon(value & 0xFFFF_FFFF, offset, 4)
      writeCommon(value >> 32, offset &+ 4, 4)
      return
    }
    guard let register = CommonRegister(offset: offset, width: width) else { return }
    write(UInt32(truncatingIfNeeded: value), register)
  }

  private func read(_ register: CommonRegister) -> UInt32 {
    switch register {
    case .deviceFeatureSelect: controller.deviceFeatureSelect
    case .deviceFeature: controller.deviceFeatures
    case .driverFeatureSelect: controller.driverFeatureSelect
    case .driverFeature: controller.driverFeatures
    case .configurationVector: UInt32(interrupts.configurationVector)
    case .queueCount: UInt32(controller.queueCount)
    case .deviceStatus: UInt32(controller.status.rawValue)
    case .configurationGeneration: controller.configurationGeneration & 0xFF
    case .queueSelect: UInt32(controller.queueSelect)
    case .queueSize: UInt32(controller.queueSize)
    case .queueVector: UInt32(interrupts.vector(ofQueue: Int(controller.queueSelect)))
    case .queueEnable: controller.isQueueEnabled ? 1 : 0
    // The queue's own number: each queue has a notification register.
    case .queueNotifyOffset: controller.queueMaximumSize > 0 ? UInt32(controller.queueSelect) : 0
    case .queueDescriptorsLow: low(controller.queueAddress(.descriptors))
    case .queueDescriptorsHigh: high(controller.queueAddress(.descriptors))
    case .queueDriverLow: low(controller.queueAddress(.available))
    case .queueDriverHigh: high(controller.queueAddress(.available))
    case .queueDeviceLow: low(controller.queueAddress(.used))
    case .queueDeviceHigh: high(controller.queueAddress(.used))
    // A reset is over before the write of it returns (4.1.4.3.1); VIRTIO_F_NOTIF_CONFIG_DATA is not
    // offered.
    case .queueNotifyData, .queueReset: 0
    }
  }

  private func write(_ value: UInt32, _ register: CommonRegister) {
    let half = UInt16(truncatingIfNeeded: value)
    switch register {
    case .deviceFeatureSelect: controller.deviceFeatureSelect = value
    case .driverFeatureSelect: controller.driverFeatureSelect = value
    case .driverFeature: controller.driverFeatures = value
    case .configurationVector: interrupts.configurationVector = half
    case .deviceStatus: controller.writeStatus(UInt8(truncatingIfNeeded: value))
    case .queueSelect: controller.queueSelect = half
    case .queueSize: controller.queueSize = half
    case .queueVector: interrupts.setVector(half, ofQueue: Int(controller.queueSelect))
    // 4.1.4.3.2: the driver writes 1 only; a queue is disabled by a reset.
    case .queueEnable: if half == 1 { controller.enableQueue() }
    case .queueDescriptorsLow: controller.setQueueAddressLow(.descriptors, to: value)
    case .queueDescriptorsHigh: controller.setQueueAddressHigh(.descriptors, to: value)
    case .queueDriverLow: controller.setQueueAddressLow(.available, to: value)
    case .queueDriverHigh: controller.setQueueAddressHigh(.available, to: value)
    case .queueDeviceLow: controller.setQueueAddressLow(.used, to: value)
    case .queueDeviceHigh: controller.setQueueAddressHigh(.used, to: value)
    case .queueReset:
      guard half == 1, let index = controller.resetQueue() else { return }
      // 2.6.1.1: nothing of what the driver had set for the queue stays.
      interrupts.setVector(PCIInterrupts.noVector, ofQueue: index)
    case .deviceFeature, .queueCount, .configurationGeneration, .queueNotifyOffset,
      .queueNotifyData:
      break
    }
  }

  private func low(_ address: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: address) }
  private func high(_ address: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: address >> 32) }
}
