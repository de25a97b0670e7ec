public import HostOS

/// A virtio socket device (virtio 1.2, 5.10): streams between ports of the guest and unix sockets of the
/// host, all on one thread.
///
/// Left out of the standard are sockets that keep messages apart (`VIRTIO_VSOCK_F_SEQPACKET`).
public final class Vsock: VirtioDevice {
  /// The contexts that a guest may have; those below are the host's and for special uses (5.10.4).
  public static var cids: ClosedRange<UInt64> { 3...UInt64(UInt32.max) - 1 }

  /// The device's name in the log.
  public let name: String

  private let shared: VsockShared
  private let keeper = VsockKeeper()
  private let workers: QueueWorkers

  /// Makes a socket device.
  ///
  /// - Parameters:
  ///   - sockets: The host's side, which outlives the device.
  ///   - guestCID: The guest's address, one of ``cids``.
  ///   - threads: Who serves its queues; see ``QueueWorkers``.
  ///   - name: Its name in log lines and of its thread.
  /// - Throws: `SystemError` if the host has no descriptor left.
  public init(
    _ sockets: VsockSockets,
    guestCID: UInt64,
    threads: [QueueThread] = [],
    name: String = "vsock0"
  ) throws(SystemError) {
    precondition(Self.cids.contains(guestCID), "CID \(guestCID)")
    self.name = name
    shared = try VsockShared(guestCID: guestCID, sockets)
    workers = QueueWorkers(name, groups: [[0, 1, 2]], threads: threads)
  }

  /// A socket device.
  public var type: VirtioDeviceType { .socket }
  /// Streams; one packet comes after the other.
  public var features: VirtioFeatures { [.vsockStream, .inOrder] }
  /// The queue to the guest, the one from it, and the one for events (5.10.2).
  public var queueSizes: [UInt16] { [128, 128, 16] }
  /// `struct virtio_vsock_config`: the guest's context (5.10.4).
  public var configurationCount: Int { 8 }

  /// The guest's context.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    var bytes = ConfigurationBytes()
    bytes.set(shared.guestCID, at: 0)
    return bytes.read(offset: offset, width: width)
  }

  /// Ends all connections and tells the guest, as after a move to another host (5.10.6.7).
  ///
  /// Any thread may call.
  public func resetTransport() { shared.requestReset() }

  /// Makes what serves the queues, for a loop other than that of a ``QueueThread``.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active.
  public func makeService(
    _ activation: VirtioActivation
  ) throws(SystemError) -> any QueueService {
    try VsockService(shared, activation)
  }

  /// Starts the thread that serves the queues.
  public func activate(_ activation: VirtioActivation) throws {
    let (shared, keeper) = (shared, keeper)
    try workers.start(activation) { _ in
      do {
        return try keeper.take(shared, activation)
      } catch {
        activation.signals.needsReset("cannot start: \(error)")
        return IdleService()
      }
    }
  }

  /// Ends the thread, and all connections with it.
  public func reset() {
    workers.stop()
    keeper.drop()
  }

  /// Ends the thread; connections stay, and go on with the next activation.
  public func suspend() { workers.stop() }

  /// Has the guest told that its connections, which were another device's, are gone (5.10.6.7).
  public func restore(_ state: [UInt8]) throws(VirtioStateError) {
    guard state.isEmpty else { throw .badDevice("\(state.count) bytes where there are none") }
    shared.requestReset()
  }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}

extension VirtioFeatures {
  /// `VIRTIO_VSOCK_F_STREAM`: streams (5.10.3).
  @inlinable public static var vsockStream: Self { Self(bit: 0) }
}
