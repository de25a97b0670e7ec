import CLinux
import Glibc
import GuestMemory
import HostOS

/// Does requests through io_uring, many at once, and those that need not wait at once by a call.
///
/// What is in the host's memory anyway is faster read or written with one call than through the
/// ring: ``InlineTransfers`` says when that is tried.
final class RingEngine: DiskEngine {
  private static var file: Int { 0 }
  // Reads of so many bytes and more take the kernel long enough to copy that another thread of its own
  // is worth waking for a part of them.
  private static var helpedCount: UInt64 { 64 << 10 }
  // One copies while another is being woken; more bring the memory nothing.
  private static var helperLimit: Int { 2 }

  private let image: DiskImage
  private let calls: DiskCalls
  private let requests: DiskRequests
  private let ring: IOUring
  private var inline: InlineTransfers
  private var mapped: MappedReads
  // Ended while others were waited for.
  private var ended: [Int] = []
  // How many of the kernel's threads may copy beside this one.
  private let helperLimit: Int
  // Long reads that were not helped with since the last look at the queue.
  private var longReads = 0
  // What direct I/O does not take as it is, in order.
  private var unaligned: [Int] = []

  /// Makes an engine with a ring of its own.
  ///
  /// - Throws: `SystemError` if the host refuses io_uring, or is short of something.
  init(_ image: DiskImage, _ requests: DiskRequests) throws(SystemError) {
    self.image = image
    calls = DiskCalls(image)
    self.requests = requests
    inline = InlineTransfers(image.caching)
    // The kernel rounds up to a power of 2.
    ring = try IOUring(capacity: requests.count, files: [image.descriptor.rawValue])
    completions = ring.descriptor
    mapped = MappedReads(image)
    // What is on tmpfs is copied out of the mapping faster than the kernel's threads are woken.
    let isHelped = image.caching != .none && !mapped.isOfMemory && HostProcessors.count > 1
    helperLimit = isHelped ? Self.helperLimit : 0
  }

  let completions: Int32?
  var hasCompletions: Bool { ring.pendingCount > 0 && ring.hasCompletions }
  /// What the kernel did not take for want of something is tried again.
  var isBusy: Bool { ring.collectedCount > 0 || !ended.isEmpty || !unaligned.isEmpty }

  func start(_ index: Int) -> Bool {
    if mapped.perform(&requests[index]) { return true }
    if isHelped(index) {
      push(index)
      // At once on a thread of the kernel's, while this one does the next.
      ring.detachLast()
      ring.enter()
      return false
    }
    let offset = requests[index].offset
    if inline.perform(&requests[index], with: calls) {
      noteRead(index, offset)
      return true
    }
    proceed(index)
    return false
  }

  /// Notes that what the request has read from `offset` on is in the page cache.
  private func noteRead(_ index: Int, _ offset: UInt64) {
    guard case .read = requests[index].action else { return }
    mapped.note(offset, Int(requests[index].offset &- offset))
  }

  func submit() {
    longReads = 0
    if ring.collectedCount > 0 { ring.enter() }
  }

  /// Whether a thread of the kernel's should do what could be done at once.
  ///
  /// One copies as fast as the memory lets it; two copy more. The first long read of several is done here,
  /// and so is one that is alone, for which waking somebody would only take time. Writes of one file take
  /// turns anyway.
  private func isHelped(_ index: Int) -> Bool {
    guard helperLimit > 0, case .read = requests[index].action,
      requests[index].leftCount >= Self.helpedCount
    else { return false }
    guard longReads > 0 else {
      longReads += 1
      return false
    }
    while ring.pendingCount >= helperLimit, ring.hasCompletions, let other = takeCompletion() {
      ended.append(other)
    }
    return ring.pendingCount < helperLimit
  }

  func takeEnded() -> Int? {
    ended.popLast() ?? takeCompletion() ?? takeUnaligned()
  }

  private func takeCompletion() -> Int? {
    while let completion = ring.take() {
      let index = Int(truncatingIfNeeded: completion.token)
      let result = Int(completion.result)
      if result == Int(-EAGAIN) || result == Int(-EINTR) {
        push(index)
        // Asked again in the same way, it might say so again at once.
        ring.detachLast()
      } else if isDiscardOfDevice(requests[index], result) {
        if calls.perform(&requests[index]) { return index }
        proceed(index)
      } else {
        let offset = requests[index].offset
        let hasEnded = requests[index].advance(result)
        noteRead(index, offset)
        if hasEnded { return index }
        proceed(index)
      }
    }
    if ring.collectedCount > 0 { ring.enter() }
    return nil
  }

  func wait() {
    if !isBusy, !ring.hasCompletions { ring.enter(waitingFor: 1) }
  }

  /// Does a piece of what direct I/O does not take as it is, by a call.
  private func takeUnaligned() -> Int? {
    guard let index = unaligned.first else { return nil }
    if requests[index].changesData, image.splitsBlocks(requests[index]) {
      // What is under way may write to the same blocks.
      submit()
      while ring.pendingCount > 0 {
        if let other = takeCompletion() { ended.append(other) } else { ring.enter(waitingFor: 1) }
      }
    }
    return calls.perform(&requests[index]) ? unaligned.removeFirst() : nil
  }

  /// Whether it was a discard of a device that cannot zero likewise, which is how the ring asks for it.
  private func isDiscardOfDevice(_ request: borrowing DiskRequest, _ result: Int) -> Bool {
    guard image.isBlockDevice, case .discard = request.action else { return false }
    return DiskRequest.isUnsupported(result)
  }

  /// Sees to it that the request goes on.
  private func proceed(_ index: Int) {
    if image.isDirect, !image.takes(requests[index]) {
      unaligned.append(index)
    } else {
      push(index)
    }
  }

  /// Collects what the request has to do next.
  private func push(_ index: Int) {
    let isTaken = collect(requests[index], UInt64(index))
    // A request has at most one operation under way, and the ring has room for all.
    precondition(isTaken, "no room in the ring")
  }

  private func collect(_ request: borrowing DiskRequest, _ token: UInt64) -> Bool {
    switch request.action {
    case .read:
      return request.vector.read(with: ring, file: Self.file, at: request.offset, token: token)
    case .write:
      return request.vector.write(
        with: ring,
        file: Self.file,
        at: request.offset,
        flags: request.isDurableWrite ? .dataSync : [],
        token: token
      )
    case .synchronize: return ring.synchronize(file: Self.file, token: token)
    case .discard, .zero:
      let range = request.range
      return ring.allocate(
        file: Self.file,
        mode: request.allocationMode,
        at: range.offset,
        count: range.count,
        token: token
      )
    case .fill:
      return ring.writeZeroes(
        file: Self.file,
        at: request.offset,
        count: request.leftCount,
        token: token
      )
    }
  }
}
