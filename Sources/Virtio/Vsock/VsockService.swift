import GuestMemory
import HostOS

/// Serves the three queues of a socket device, and all of its unix sockets, on one thread.
///
/// The sockets are in an epoll of its own, which is what the thread waits for beside kicks. A socket
/// that has something for the guest is taken out of it and put in a line, so that none is looked at
/// again before the guest had room for it; each is served in its turn, one packet at a time.
final class VsockService: QueueService {
  /// The queues (virtio 1.2, 5.10.2).
  enum QueueIndex {
    static var receive: Int { 0 }
    static var transmit: Int { 1 }
    static var event: Int { 2 }
  }

  /// What events of the epoll mean; others are the numbers of connections and of those that will be.
  enum Token {
    static var wake: UInt64 { 0 }
    static var listener: UInt64 { 1 }
    static var first: UInt64 { 2 }
  }

  /// The most connections, with those that are being made.
  static var connectionLimit: Int { 1023 }
  /// The most packets for connections that there are none; with so many, no more are taken of the guest.
  static var replyLimit: Int { 256 }
  // Between two looks at requests of other threads.
  static var batch: Int { 32 }

  let shared: VsockShared
  private(set) var log: LimitedLog
  let poller: Poller
  var connections: [UInt64: VsockConnection] = [:]
  var connectionsByPorts: [VsockPorts: VsockConnection] = [:]
  var handshakes: [UInt64: VsockHandshake] = [:]
  var nextID = Token.first
  var nextPort: UInt32 = 1 << 30
  var isListening = false
  /// Those that have packets for the guest, each once.
  var line = VsockLine()
  /// Packets for connections that there are none.
  var replies: [VsockHeader] = []
  /// Queues that had nothing to do when they were served last, and wait for something.
  var idle: Set<Int> = []
  var isResetDue = false

  var chain: DescriptorChain
  var vector: GuestIOVector
  var noOverflow: [UInt8] = []

  init(_ shared: VsockShared, _ activation: VirtioActivation) throws(SystemError) {
    self.shared = shared
    log = activation.signals.log
    chain = DescriptorChain(in: activation.memory)
    vector = GuestIOVector(activation.memory)
    poller = try Poller()
    try poller.add(shared.wake.rawValue, token: Token.wake)
    listen()
  }

  /// Goes on with other queues, maybe in other memory; the old ones have been stopped.
  func resume(_ activation: VirtioActivation) {
    log = activation.signals.log
    chain = DescriptorChain(in: activation.memory)
    vector = GuestIOVector(activation.memory)
  }

  var completions: Int32? { poller.rawValue }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    lookAtSockets()
    idle.remove(queue.index)
    // What was found may be for another queue, for which nothing else would come.
    defer { wakeOthers() }
    return switch queue.index {
    case QueueIndex.receive: try receive(&queue)
    case QueueIndex.transmit: try transmit(&queue)
    case QueueIndex.event: try tell(&queue)
    default: .ended
    }
  }

  /// Whether there is a packet for the guest.
  var hasPackets: Bool { !replies.isEmpty || !line.isEmpty }

  func finish(_ queue: inout Virtqueue) { idle.remove(queue.index) }

  /// Has the thread serve the queues that have something to do by now.
  ///
  /// Again and again until they are served: a signal may have been taken by another queue's turn.
  private func wakeOthers() {
    guard
      idle.contains(QueueIndex.receive) && hasPackets
        || idle.contains(QueueIndex.transmit) && replies.count < Self.replyLimit
        || idle.contains(QueueIndex.event) && isResetDue
    else { return }
    shared.wake.signal()
  }

  /// What a queue returns that has nothing to do.
  func wait(_ queue: borrowing Virtqueue) -> QueueOutcome {
    idle.insert(queue.index)
    return .waiting
  }

  /// Tells the guest that all connections are gone, if they are (5.10.6.7).
  private func tell(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    guard isResetDue else { return wait(queue) }
    guard try queue.pop(into: &chain) else { return .drained }
    // VIRTIO_VSOCK_EVENT_TRANSPORT_RESET.
    let written = chain.write([0, 0, 0, 0])
    queue.complete(chain, written: UInt32(written))
    isResetDue = written < 4
    return .busy
  }
}
