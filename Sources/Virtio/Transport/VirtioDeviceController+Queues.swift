import GuestMemory
import Synchronization

/// The queue registers, for the queue that the driver has selected (virtio 1.2, 4.1.4.3 and 4.2.2).
///
/// Where the driver selected a queue that does not exist, reads are zero and writes are ignored. A
/// queue's place is fixed while it is enabled, and without `VIRTIO_F_RING_RESET` the set of enabled
/// queues once the driver is ready.
extension VirtioDeviceController {
  /// The number of the selected queue.
  public var queueSelect: UInt16 {
    get { registers.withLock { $0.queueSelect } }
    set { registers.withLock { $0.queueSelect = newValue } }
  }

  /// The most entries that the selected queue may have; 0 says that there is no such queue.
  public var queueMaximumSize: UInt16 { selected { $0.maximumSize } ?? 0 }

  /// The number of entries of the selected queue; the maximum until the driver writes it.
  public var queueSize: UInt16 {
    get { selected { $0.size } ?? 0 }
    set { change { $0.size = newValue } }
  }

  /// The guest address of a part of the selected queue.
  public func queueAddress(_ part: VirtqueuePart) -> UInt64 { selected { $0[part] } ?? 0 }

  /// Sets the guest address of a part of the selected queue.
  public func setQueueAddress(_ part: VirtqueuePart, to address: UInt64) {
    change { $0[part] = address }
  }

  /// Sets the low 32 bits of the guest address of a part of the selected queue.
  public func setQueueAddressLow(_ part: VirtqueuePart, to value: UInt32) {
    change { $0[part] = $0[part] & ~0xFFFF_FFFF | UInt64(value) }
  }

  /// Sets the high 32 bits of the guest address of a part of the selected queue.
  public func setQueueAddressHigh(_ part: VirtqueuePart, to value: UInt32) {
    change { $0[part] = $0[part] & 0xFFFF_FFFF | UInt64(value) << 32 }
  }

  /// Whether the selected queue is enabled.
  public var isQueueEnabled: Bool { selected { $0.isEnabled } ?? false }

  /// Enables the selected queue, after a check of its size and place.
  ///
  /// One that fails the check stays disabled, and the device needs a reset.
  public func enableQueue() {
    if hasRingReset, signals.status.contains(.driverOK) {
      restartQueue()
      return
    }
    guard !isRunning("enables a queue") else { return }
    let failure: (Int, VirtqueueError)? = registers.withLock { registers in
      let index = Int(registers.queueSelect)
      guard registers.queues.indices.contains(index), !registers.queues[index].isEnabled else {
        return nil
      }
      do throws(VirtqueueError) {
        try check(
          registers.queues[index],
          index,
          features: VirtioFeatures(rawValue: registers.driverFeatures)
        )
        registers.queues[index].isEnabled = true
        return nil
      } catch {
        return (index, error)
      }
    }
    guard let failure else { return }
    signals.needsReset("queue \(failure.0): \(failure.1)")
  }

  /// Disables the selected queue, while the driver is not yet ready.
  public func disableQueue() {
    guard !isRunning("disables a queue") else { return }
    registers.withLock { registers in
      let index = Int(registers.queueSelect)
      guard registers.queues.indices.contains(index) else { return }
      registers.queues[index].isEnabled = false
    }
  }

  /// The queue as the device will see it.
  func configuration(
    _ queue: QueueRegisters,
    _ index: Int,
    features: VirtioFeatures
  ) -> VirtqueueConfiguration {
    var configuration = VirtqueueConfiguration(
      index: index,
      size: queue.size,
      descriptorTable: GuestAddress(queue.descriptorTable),
      availableRing: GuestAddress(queue.availableRing),
      usedRing: GuestAddress(queue.usedRing),
      features: features,
      kick: kicks[index]
    )
    configuration.inflight = keeper?.region(isPacked: configuration.isPacked)
    return configuration
  }

  /// Checks a queue's size and place, for the kind of ring that `features` choose.
  func check(
    _ queue: QueueRegisters,
    _ index: Int,
    features: VirtioFeatures
  ) throws(VirtqueueError) {
    guard queue.size <= queue.maximumSize else {
      throw .sizeAboveMaximum(queue.size, maximum: queue.maximumSize)
    }
    try configuration(queue, index, features: features).check(in: memory)
  }

  /// Whether it is too late for what the driver does, which is then logged.
  private func isRunning(_ what: String) -> Bool {
    // 3.1.1: queues are set up before DRIVER_OK; a later change needs VIRTIO_F_RING_RESET.
    guard signals.status.contains(.driverOK) else { return false }
    signals.log.warning("driver \(what) after DRIVER_OK: ignored")
    return true
  }

  private func selected<Value>(_ body: (QueueRegisters) -> Value) -> Value? {
    registers.withLock { registers in
      let index = Int(registers.queueSelect)
      return registers.queues.indices.contains(index) ? body(registers.queues[index]) : nil
    }
  }

  private func change(_ body: (inout QueueRegisters) -> Void) {
    registers.withLock { registers in
      let index = Int(registers.queueSelect)
      guard registers.queues.indices.contains(index), !registers.queues[index].isEnabled else {
        return
      }
      body(&registers.queues[index])
    }
  }
}
