public import HostOS

/// A virtio network interface (virtio 1.2, 5.1), each of whose pairs of queues a thread of its own
/// serves.
///
/// Left out of the standard are receive-side scaling and hash reports (`VIRTIO_NET_F_RSS`,
/// `_HASH_REPORT`), notification coalescing (`_NOTF_COAL`), standby and the speed of the link.
public final class Net: VirtioDevice {
  /// The device's name in the log.
  public let name: String
  /// What messages call its network.
  public var networkLabel: String { shared.backend.label }
  /// What it has moved and dropped.
  public var counters: NetCounters { shared.counters }

  let shared: NetShared
  private let mtu: UInt16?
  private let workers: QueueWorkers

  private static var queueSize: UInt16 { 256 }

  /// Makes a network interface.
  ///
  /// - Parameters:
  ///   - backend: The network, which outlives the device.
  ///   - address: Its address, until the driver sets another.
  ///   - mtu: The most bytes of a packet without the Ethernet header, 68 to 65535, which the driver is
  ///     told; the network's where not given.
  ///   - limits: How much it may receive and send.
  ///   - threads: Who serves its queues; see ``QueueWorkers``.
  ///   - polling: How threads of its own poll.
  ///   - name: Its name in log lines and of its threads.
  /// - Throws: `SystemError` if the host has no descriptor left.
  public init(
    _ backend: any NetBackend,
    address: MACAddress,
    mtu: UInt16? = nil,
    limits: NetLimits = NetLimits(),
    threads: [QueueThread] = [],
    polling: QueuePolling = .off,
    name: String = "net0"
  ) throws(SystemError) {
    self.name = name
    self.mtu = mtu ?? backend.mtu
    shared = try NetShared(backend, address: address, limits: limits)
    // 5.1.2: the control queue comes after all pairs, or after the first one if there is no
    // VIRTIO_NET_F_MQ: then it is where the second would begin.
    let control = 2 * backend.queuePairCount
    var groups = (0..<backend.queuePairCount).map { [2 * $0, 2 * $0 + 1] }
    groups[0].append(control)
    workers = QueueWorkers(name, groups: groups, threads: threads, polling: polling)
  }

  /// A network interface.
  public var type: VirtioDeviceType { .network }

  /// What the network can keep, and what needs nothing of it; one frame comes after the other.
  public var features: VirtioFeatures {
    var features: VirtioFeatures = [
      .netMAC, .netStatus, .netMergeableBuffers, .netControlQueue, .netControlReceive,
      .netControlReceiveExtra, .netControlVLAN, .netControlMAC, .netGuestAnnounce, .inOrder,
    ]
    let backend = shared.backend
    features.formUnion(backend.features)
    if backend.features.contains(.netGuestChecksum) { features.insert(.netControlOffloads) }
    if backend.queuePairCount > 1 { features.insert(.netMultiQueue) }
    if mtu != nil { features.insert(.netMTU) }
    return features
  }

  /// Two for each pair, and the control queue.
  public var queueSizes: [UInt16] {
    Array(repeating: Self.queueSize, count: 2 * shared.backend.queuePairCount + 1)
  }

  /// `struct virtio_net_config` up to `mtu` (5.1.4).
  public var configurationCount: Int { 12 }

  /// Whether each feature comes with those that it needs (5.1.3.1).
  public func accepts(_ features: VirtioFeatures) -> Bool { features.areNetFeaturesComplete }

  /// The address, the state of the link, the number of pairs, and the MTU.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    shared.configuration(mtu: mtu).read(offset: offset, width: width)
  }

  /// Takes the link up or down; frames are dropped both ways while it is down.
  ///
  /// Any thread may call.
  public func setLink(up isUp: Bool) { shared.setLink(up: isUp) }

  /// Asks the driver to announce the guest, as after a move to another place of the network.
  ///
  /// Any thread may call; no effect if the driver knows no announcements.
  public func announce() { shared.announce() }

  /// Makes what serves a pair of queues, and with the first pair the control queue, for a loop other than that
  /// of a ``QueueThread``.
  ///
  /// It belongs to the thread that calls it. The one for pair 0 is made first, and ``reset()`` follows the
  /// last use.
  ///
  /// - Throws: `SystemError` if the network refuses what the driver wants, or there is no descriptor left.
  public func makeService(
    _ activation: VirtioActivation,
    pair: Int
  ) throws(SystemError) -> any QueueService {
    if pair == 0 { try shared.begin(activation) }
    return try NetService(shared, pair: pair, mtu: mtu, activation)
  }

  /// Starts the threads that serve the queues.
  public func activate(_ activation: VirtioActivation) throws {
    let (shared, mtu) = (shared, mtu)
    try shared.begin(activation)
    try workers.start(activation) { pair in
      do {
        return try NetService(shared, pair: pair, mtu: mtu, activation)
      } catch {
        activation.signals.needsReset("cannot start: \(error)")
        return IdleService()
      }
    }
  }

  /// Ends the threads after the frames that they are at.
  public func reset() {
    workers.stop()
    shared.end()
  }

  /// Ends the threads after the frames that they are at; filter, pairs and offloads stay as they are.
  public func suspend() {
    workers.stop()
    shared.suspend()
  }

  /// Filter, offloads, and how many pairs are in use.
  public var savedState: [UInt8] { shared.savedState }

  /// Takes them over; the network is told when the driver is ready.
  public func restore(_ state: [UInt8]) throws(VirtioStateError) { try shared.restore(state) }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}
