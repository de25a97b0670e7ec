import GuestMemory
public import HostOS
import SteppingSupport
import Synchronization

/// Runs code one instruction at a time, and keeps what memory held after each change: what a process that is killed there
/// leaves behind.
public enum Stepping {
  /// Whether this processor can do it, in a program with no sanitizer.
  public static var isPossible: Bool { apus_stepping_is_possible() }

  /// A range in this process, by its address and length.
  public typealias Range = (address: UInt, count: Int)

  private static let turn = Mutex<Void>(())

  /// Runs `body`, and keeps what the ranges held before it and after each change, one behind the other.
  ///
  /// - Parameters:
  ///   - ranges: What to watch, 8 ranges at most; mapped while it runs.
  ///   - limit: The most states; a test that has more fails.
  ///   - body: Does what changes them, on this thread.
  /// - Returns: The states, the first of them the one before.
  /// - Throws: What `body` throws, or that there are too many states.
  public static func states(
    of ranges: [Range],
    atMost limit: Int = 4096,
    _ body: () throws -> Void
  ) throws -> [[UInt8]] {
    try turn.withLock { _ in
      let total = ranges.reduce(0) { $0 + $1.count }
      let starts = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: ranges.count)
      let counts = UnsafeMutablePointer<Int>.allocate(capacity: ranges.count)
      let kept = UnsafeMutableRawPointer.allocate(byteCount: total * limit, alignment: 16)
      defer {
        starts.deallocate()
        counts.deallocate()
        kept.deallocate()
      }
      for (index, range) in ranges.enumerated() {
        (starts + index).initialize(to: UnsafeRawPointer(bitPattern: range.address))
        (counts + index).initialize(to: range.count)
      }
      guard apus_stepping_begin(starts, counts, ranges.count, kept, total * limit) else {
        throw SystemError(call: "sigaction", code: 22, subject: "single steps")
      }
      let result = Result { try body() }
      let count = apus_stepping_end()
      try result.get()
      guard count <= total * limit else {
        throw SystemError(call: "steps", code: 7, subject: "\(count / total) states")
      }
      return (0..<count / total).map { number in
        Array(UnsafeRawBufferPointer(start: kept + number * total, count: total))
      }
    }
  }

  /// Puts a state back.
  public static func restore(_ state: [UInt8], to ranges: [Range]) {
    var offset = 0
    for range in ranges {
      for index in 0..<range.count {
        UnsafeMutablePointer<UInt8>(bitPattern: range.address + UInt(index))?.pointee =
          state[offset + index]
      }
      offset += range.count
    }
  }
}
