import GuestMemory
import TestSupport

/// A driver that writes to a disk without pause, and keeps account of what it gets back.
final class DiskLoad {
  static let slots = 32
  static let size: UInt16 = 128

  let memory: GuestMemory
  /// The disk's queue, once there is one.
  var queue: MockQueue?
  /// Tells the device of requests, if it wants that.
  var kick: (MockQueue) throws -> Void = { _ in }
  /// The slot of each chain that is out, by the number that comes back.
  private var out: [UInt32: Int] = [:]
  private var free = Array(0..<DiskLoad.slots)
  private var sequence: UInt64 = 0
  /// What each sector should hold.
  private(set) var expected = [UInt64](repeating: 0, count: DiskLoad.slots)
  private(set) var failures: [String] = []
  private(set) var count = 0

  init(_ memory: GuestMemory) { self.memory = memory }

  /// A disk's first content.
  static var content: [UInt8] { [UInt8](repeating: 0, count: 512 * slots) }

  /// The first word of each sector of a disk's content.
  static func words(_ bytes: [UInt8]) -> [UInt64] {
    (0..<slots).map { VhostUserFrontEnd.word(bytes, at: $0 * 512, as: UInt64.self) }
  }

  /// Writes for so long.
  func run(for duration: Duration) throws {
    let end = ContinuousClock.now + duration
    while ContinuousClock.now < end {
      try submit()
      try reap()
    }
  }

  /// Waits for what is out.
  func finish() throws {
    let isDone = try waitUntil {
      try reap()
      return out.isEmpty
    }
    if !isDone { failures.append("\(out.count) requests never came back") }
  }

  private func submit() throws {
    guard let queue else { return }
    while let slot = free.popLast() {
      let place = 0x100000 + UInt64(slot) * 0x1000
      sequence += 1
      expected[slot] = sequence
      try memory.store64(1, at: GuestAddress(place))
      try memory.store64(UInt64(slot), at: GuestAddress(place + 8))
      try memory.store64(sequence, at: GuestAddress(place + 0x100))
      try memory.store8(0xFF, at: GuestAddress(place + 0x800))
      let id = try queue.add([
        .readable(place, 16), .readable(place + 0x100, 512), .writable(place + 0x800, 1),
      ])
      out[UInt32(id)] = slot
    }
    try kick(queue)
  }

  private func reap() throws {
    guard let queue else { return }
    while let used = try queue.takeUsed() {
      guard let slot = out.removeValue(forKey: used.head) else {
        failures.append("chain \(used.head) came back though it was not out")
        return
      }
      let status = try memory.load8(at: GuestAddress(0x100800 + UInt64(slot) * 0x1000))
      if status != 0 { failures.append("chain \(used.head) has status \(status)") }
      free.append(slot)
      count += 1
    }
  }
}
