import GuestMemory
import HostOS

/// Gives frames that come to the driver, on the thread of the pair of queues (virtio 1.2, 5.1.6.3).
///
/// A few of the driver's buffers are taken ahead of time, so that a frame is read straight into them
/// whatever its size turns out to be. Where there are none, frames stay where they are.
struct NetReceiver: ~Copyable {
  private struct Buffer {
    var ticket: ChainTicket
    var count: UInt64
    /// How many useless ones came after it, which the driver has back or gets back with it.
    var passedOver = 0
  }

  // Between two looks at requests of other threads.
  private static var batch: Int { 32 }

  private let shared: NetShared
  private let port: any NetPort
  private let pair: NetPairSwitch
  private let log: LimitedLog
  private let gate: RateGate?
  private let isMergeable: Bool
  private let isOrderKept: Bool
  private let expectedCount: UInt64
  private let frameLimit: Int

  private var chain: DescriptorChain
  // The ranges of all buffers that have been taken, one after the other.
  private var ranges: GuestIOVector
  private var buffers: [Buffer] = []
  // What of a frame did not fit in them.
  private var overflow = [UInt8](repeating: 0, count: NetHeader.size + NetHeader.largestFrame)
  // A frame that waits for more buffers: its size, and how much of it is in those that it has.
  private var pending: (count: Int, stored: UInt64)?
  private var filter: NetFilter
  private var filterVersion: UInt64 = .max
  private var prefix = [UInt8](repeating: 0, count: NetFilter.prefixSize)
  private var isConnected: Bool

  init(
    _ shared: NetShared,
    _ port: any NetPort,
    pair: Int,
    mtu: UInt16?,
    _ gate: RateGate?,
    _ activation: VirtioActivation
  ) {
    self.shared = shared
    self.port = port
    self.pair = shared.pairs[pair]
    self.gate = gate
    log = activation.signals.log
    let features = activation.features
    isMergeable = features.contains(.netMergeableBuffers)
    isOrderKept = features.contains(.inOrder)
    let packet = Int(mtu ?? shared.backend.mtu ?? 1500)
    let frame = packet + NetHeader.ethernetSize + NetHeader.vlanTagSize
    let isLarge = !features.isDisjoint(with: .netGuestSegments)
    expectedCount = UInt64(NetHeader.size + (isLarge ? NetHeader.largestFrame : frame))
    // 5.1.4.1: with VIRTIO_NET_F_MTU, no larger frame may reach the driver.
    frameLimit = features.contains(.netMTU) ? frame : .max
    chain = DescriptorChain(in: activation.memory)
    ranges = GuestIOVector(activation.memory)
    filter = shared.filter
    isConnected = shared.isConnected
  }

  /// Gives the driver some of the frames that have come.
  mutating func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    shared.update(&filter, known: &filterVersion)
    for _ in 0..<Self.batch {
      if pair.isOffForNow() { return .blocked(on: pair.descriptor, for: .readable) }
      guard try fill(&queue) else { return .busy }
      if let frame = pending {
        guard finish(frame, &queue) else { return .drained }
        continue
      }
      guard !buffers.isEmpty else { return .drained }
      // How large a frame is shows when it is there: each is paid for by those that follow.
      if let gate, !gate.isOpen { return gate.outcome }
      let received = port.receive(into: &ranges, overflow: &overflow)
      if isConnected != port.isConnected {
        isConnected = port.isConnected
        shared.setConnected(isConnected)
      }
      switch received {
      case .frame(let count): deliver(count, &queue)
      case .mustWait(let descriptor): return .blocked(on: descriptor, for: .readable)
      case .disconnected(let reason):
        log.warning("\(shared.backend.label) \(reason): the link is down until it is back")
      case .ended(let reason): return end(reason)
      }
    }
    return .busy
  }

  /// Puts back the buffers that were taken; a frame that waits for more is lost.
  mutating func finish(_ queue: inout Virtqueue) {
    // What stands in the queue before a chain that was given back cannot be put back to where it was: it
    // is given back too, with nothing in it.
    let kept = buffers.lastIndex { $0.passedOver > 0 }.map { $0 + 1 } ?? 0
    for buffer in buffers[kept...].reversed() { queue.putBack(buffer.ticket) }
    for buffer in buffers[..<kept] { queue.complete(buffer.ticket, written: 0) }
    buffers.removeAll(keepingCapacity: true)
    ranges.removeAll()
    if pending != nil { shared.counters.countReceiveDropped() }
    pending = nil
  }

  /// Takes buffers ahead, as many as the largest frame needs.
  ///
  /// - Returns: False if the driver gives so many useless ones that others must have their turn.
  private mutating func fill(_ queue: inout Virtqueue) throws(VirtqueueError) -> Bool {
    let wanted = isMergeable ? max(expectedCount, UInt64(pending?.count ?? 0)) : 1
    var useless = 0
    while ranges.count < wanted, ranges.segmentCount < GuestIOVector.messageSegmentLimit {
      guard useless < Self.batch else { return false }
      guard try queue.pop(into: &chain) else { return true }
      let count = chain.writableCount
      // 5.1.6.3.1: a buffer has room for the header at least.
      guard count >= UInt64(NetHeader.size) else {
        useless += 1
        discardBuffer(&queue, "of \(count) bytes, which has no room for a header")
        continue
      }
      let added = chain.appendWritable(to: &ranges, count: count)
      guard added == count else {
        ranges.removeLast(added)
        useless += 1
        discardBuffer(&queue, "of \(count) bytes, which cannot be reached")
        continue
      }
      guard ranges.segmentCount <= GuestIOVector.messageSegmentLimit else {
        ranges.removeLast(count)
        guard buffers.isEmpty else {
          queue.putBack()
          return true
        }
        useless += 1
        discardBuffer(&queue, "in more than \(GuestIOVector.messageSegmentLimit) pieces")
        continue
      }
      buffers.append(Buffer(ticket: chain.ticket, count: count))
    }
    return true
  }

  private mutating func discardBuffer(_ queue: inout Virtqueue, _ what: String) {
    log.warning("a receive buffer \(what), is given back empty")
    shared.counters.countUselessBuffer()
    queue.complete(chain, written: 0)
    if !buffers.isEmpty { buffers[buffers.count - 1].passedOver += 1 }
  }

  /// Gives the driver a frame of `count` bytes with its header, unless it does not want it.
  private mutating func deliver(_ count: Int, _ queue: inout Virtqueue) {
    let frame = count - NetHeader.size
    guard frame >= 0, count <= Int(clamping: ranges.count) + overflow.count, shared.isLinkUp else {
      shared.counters.countReceiveDropped()
      return
    }
    let known = loadPrefix(frame)
    guard filter.accepts(prefix, count: known) else {
      shared.counters.countFiltered()
      return
    }
    guard frame <= frameLimit || isSegmented else {
      log.warning("a frame of \(frame) bytes is larger than the guest's MTU: dropped")
      shared.counters.countReceiveDropped()
      return
    }
    guard UInt64(count) <= ranges.count else {
      guard isMergeable else {
        log.warning("a frame of \(frame) bytes, a receive buffer of \(ranges.count): dropped")
        shared.counters.countReceiveDropped()
        return
      }
      pending = (count, ranges.count)
      return
    }
    complete(count, &queue)
  }

  /// Goes on with a frame that waited for buffers.
  ///
  /// - Returns: False if it still does.
  private mutating func finish(
    _ frame: (count: Int, stored: UInt64),
    _ queue: inout Virtqueue
  ) -> Bool {
    guard UInt64(frame.count) <= ranges.count else {
      // More can come only while the driver has any left.
      guard heldCount < Int(queue.size),
        ranges.segmentCount < GuestIOVector.messageSegmentLimit
      else {
        log.warning("a frame of \(frame.count) bytes is more than all receive buffers: dropped")
        shared.counters.countReceiveDropped()
        pending = nil
        return true
      }
      return false
    }
    let rest = frame.count - Int(frame.stored)
    // SAFETY: `UInt8` has no padding.
    unsafe ranges.store(overflow.span.bytes.extracting(0..<rest), at: frame.stored)
    pending = nil
    complete(frame.count, &queue)
    return true
  }

  /// How many chains the driver does not have back.
  private var heldCount: Int {
    isOrderKept ? buffers.reduce(0) { $0 + 1 + $1.passedOver } : buffers.count
  }

  /// Hands back the buffers that a frame is in.
  private mutating func complete(_ count: Int, _ queue: inout Virtqueue) {
    var left = UInt64(count)
    var used = 0
    while left > 0, used < buffers.count {
      left -= min(left, buffers[used].count)
      used += 1
    }
    // 5.1.6.4: how many buffers the frame is in; without VIRTIO_NET_F_MRG_RXBUF that is 1.
    let number = [UInt8(truncatingIfNeeded: used), UInt8(truncatingIfNeeded: used >> 8)]
    // SAFETY: `UInt8` has no padding.
    unsafe ranges.store(number.span.bytes, at: UInt64(NetHeader.bufferCountOffset))
    left = UInt64(count)
    for buffer in buffers[0..<used] {
      let part = min(left, buffer.count)
      queue.complete(buffer.ticket, written: UInt32(clamping: part))
      ranges.removeFirst(buffer.count)
      left -= part
    }
    buffers.removeSubrange(0..<used)
    shared.counters.countReceived(count - NetHeader.size)
    _ = gate?.pass(bytes: UInt64(count - NetHeader.size))
  }

  /// Loads what the filter looks at of a frame of `count` bytes, and returns how much there is.
  private mutating func loadPrefix(_ count: Int) -> Int {
    let wanted = min(count, NetFilter.prefixSize)
    // Out of `self` while the ranges are looked at.
    var first: [UInt8] = []
    swap(&first, &prefix)
    defer { swap(&first, &prefix) }
    var span = first.mutableSpan
    // SAFETY: every byte pattern is a `UInt8`.
    var bytes = unsafe span.mutableBytes
    let stored = min(ranges.load(at: UInt64(NetHeader.size), into: &bytes), wanted)
    // The rest did not fit in the buffers.
    for index in stored..<wanted { first[index] = overflow[index - stored] }
    return wanted
  }

  /// Whether the header of the frame in the buffers says that it is to be cut up.
  private var isSegmented: Bool {
    var type: [UInt8] = [0]
    var span = type.mutableSpan
    // SAFETY: every byte pattern is a `UInt8`.
    var bytes = unsafe span.mutableBytes
    _ = ranges.load(at: UInt64(NetHeader.segmentationOffset), into: &bytes)
    return type[0] != 0
  }

  private mutating func end(_ reason: String) -> QueueOutcome {
    log.warning("\(shared.backend.label): \(reason); nothing will come from it any more")
    shared.setConnected(false)
    return .ended
  }
}
