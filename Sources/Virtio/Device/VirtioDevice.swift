/// A virtio device: what its author writes, whatever transport carries it.
///
/// A ``VirtioDeviceController`` owns the device and guards the order of calls: ``activate(_:)`` and
/// ``reset()`` never overlap, nor do the resets of single queues, and a second activation comes only
/// after a reset. All come on a vCPU's thread, as do the configuration accesses, those from several
/// vCPUs at once and also before activation. The device works on threads of its own, usually those
/// of its ``QueueWorkers``.
public protocol VirtioDevice: AnyObject, Sendable {
  /// Which kind of device this is (virtio 1.2, 5).
  var type: VirtioDeviceType { get }
  /// The name of this one in log lines, such as `disk0`.
  var name: String { get }
  /// The feature bits of this type that are offered; the controller adds those of rings and
  /// transport.
  ///
  /// Not added is `VIRTIO_F_IN_ORDER`: with it, what is done early waits for what came before it,
  /// which is free only where a device does one thing after the other.
  var features: VirtioFeatures { get }
  /// The features of rings that may be offered; those that come from the controller are cut down to these.
  ///
  /// All of them, where the queues are served by our own code.
  var ringFeatures: VirtioFeatures { get }
  /// The most entries that each queue may have; powers of 2 up to 32768.
  var queueSizes: [UInt16] { get }
  /// The length of the device-specific configuration in bytes.
  var configurationCount: Int { get }

  /// Whether the device works with this choice of its features; the dependencies between them are
  /// its affair (virtio 1.2, 2.2.2).
  func accepts(_ features: VirtioFeatures) -> Bool

  /// The `width` bytes of configuration at `offset`, little-endian; bytes past the end are zero.
  func readConfiguration(offset: UInt64, width: Int) -> UInt64
  /// Applies a write to the configuration; fields that the driver may not write stay as they are.
  func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int)

  /// The driver is ready: serve the queues from now on.
  ///
  /// Must not wait for the guest. An error puts the device into `DEVICE_NEEDS_RESET`.
  func activate(_ activation: VirtioActivation) throws
  /// Back to the state before activation.
  ///
  /// Returns only when no thread of the device touches guest memory or the queues any more; called
  /// whether or not the device is active. Threads of the device may still signal while it waits.
  func reset()
  /// Stops serving all queues of an active device, as ``reset()`` does, but keeps what the driver has
  /// set: another activation goes on from there.
  ///
  /// Resets the device unless it has more to keep than the places of its queues.
  func suspend()

  /// What the driver has set beside the registers of the transport, in a form of the device's own; empty
  /// where there is nothing.
  ///
  /// Any thread may ask, also while the device is active.
  var savedState: [UInt8] { get }
  /// Takes over what another device of the same kind had in ``savedState``; comes after a reset, and the
  /// next activation goes on from there.
  ///
  /// - Throws: ``VirtioStateError/badDevice(_:)`` for bytes that are no such state, which may be anybody's;
  ///   then nothing has changed.
  func restore(_ state: [UInt8]) throws(VirtioStateError)

  /// Stops serving queue `index` of an active device, which the driver resets (virtio 1.2, 2.6.1).
  ///
  /// Returns only when no thread of the device touches the queue or its buffers any more; the other
  /// queues go on. Requests that were taken are ended first.
  func resetQueue(_ index: Int)
  /// Serves a queue of an active device from now on, which was reset or has not been enabled before.
  ///
  /// An error puts the device into `DEVICE_NEEDS_RESET`.
  func restartQueue(_ queue: VirtqueueConfiguration) throws
}

extension VirtioDevice {
  /// All.
  public var ringFeatures: VirtioFeatures { VirtioFeatures(rawValue: .max) }
  /// Accepts every choice.
  public func accepts(_ features: VirtioFeatures) -> Bool { true }
  /// Resets the device.
  public func suspend() { reset() }
  /// Nothing.
  public var savedState: [UInt8] { [] }
  /// Takes nothing.
  public func restore(_ state: [UInt8]) throws(VirtioStateError) {
    guard state.isEmpty else { throw .badDevice("\(state.count) bytes where there are none") }
  }
  /// Ignores the write.
  public func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {}
}
