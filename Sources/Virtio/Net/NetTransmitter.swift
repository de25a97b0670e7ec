import GuestMemory
import HostOS

/// Sends the driver's frames, on the thread of the pair of queues (virtio 1.2, 5.1.6.2).
///
/// A frame goes from guest RAM to the network without a copy. One that the network does not take is
/// dropped and counted, as on any network; only where it is full the driver waits.
struct NetTransmitter: ~Copyable {
  // Between two looks at requests of other threads.
  private static var batch: Int { 32 }

  private let shared: NetShared
  private let port: any NetPort
  private let gate: RateGate?
  private let log: LimitedLog
  private var chain: DescriptorChain
  private var frame: GuestIOVector
  // A frame was taken that the network has not.
  private var isHolding = false

  init(
    _ shared: NetShared,
    _ port: any NetPort,
    _ gate: RateGate?,
    _ activation: VirtioActivation
  ) {
    self.shared = shared
    self.port = port
    self.gate = gate
    log = activation.signals.log
    chain = DescriptorChain(in: activation.memory)
    frame = GuestIOVector(activation.memory)
  }

  /// Sends some of the frames that the driver has made available.
  mutating func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      if !isHolding {
        guard try queue.pop(into: &chain) else {
          // The last frame may have gone in part, and none may ever come after it.
          if case .mustWait(let descriptor) = port.flush() {
            return .blocked(on: descriptor, for: .writable)
          }
          return .drained
        }
        guard take() else {
          queue.complete(chain, written: 0)
          continue
        }
        isHolding = true
        if let gate, !gate.pass(bytes: count) { return gate.outcome }
      } else if let gate, !gate.isOpen {
        return gate.outcome
      }
      switch shared.isLinkUp ? port.send(&frame) : .dropped(nil) {
      case .sent: shared.counters.countSent(count)
      case .mustWait(let descriptor): return .blocked(on: descriptor, for: .writable)
      case .dropped(let reason):
        shared.counters.countSendDropped()
        if let reason {
          log.warning("\(shared.backend.label) refuses a frame of \(count) bytes: \(reason)")
        }
      }
      isHolding = false
      queue.complete(chain, written: 0)
    }
    return .busy
  }

  /// Puts back a frame that waits for the network.
  mutating func finish(_ queue: inout Virtqueue) {
    gate?.cancel()
    if isHolding { queue.putBack() }
    isHolding = false
  }

  /// The bytes of the frame, without a header.
  private var count: UInt64 { frame.count - (port.hasHeader ? UInt64(NetHeader.size) : 0) }

  /// Takes the frame out of the chain.
  ///
  /// - Returns: False if there is none.
  private mutating func take() -> Bool {
    let count = chain.readableCount
    frame.removeAll()
    // 5.1.6.2: the header, then the frame: no less than its addresses and type, and no more than the
    // largest packet.
    let range = NetHeader.size + NetHeader.ethernetSize...NetHeader.size + NetHeader.largestFrame
    guard range.contains(Int(clamping: count)) else {
      log.warning("a frame of \(count) bytes with its header, not \(range): dropped")
      shared.counters.countMalformed()
      return false
    }
    if !port.hasHeader { chain.skipReadable(UInt64(NetHeader.size)) }
    let wanted = chain.readableCount
    guard chain.appendReadable(to: &frame, count: wanted) == wanted else {
      log.warning("a frame of \(count) bytes that cannot be reached: dropped")
      shared.counters.countMalformed()
      return false
    }
    guard frame.segmentCount <= GuestIOVector.messageSegmentLimit else {
      log.warning("a frame in \(frame.segmentCount) pieces: dropped")
      shared.counters.countMalformed()
      return false
    }
    return true
  }
}
