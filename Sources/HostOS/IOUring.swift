import CLinux
import CUring
import Glibc

/// A ring of operations that the kernel does while its thread goes on (io_uring(7)).
///
/// Made, used and let go of by one thread. Operations are collected, handed to the kernel with one
/// call for all, and their completions read from shared memory. There is never more under way than
/// the completion queue holds. ``descriptor`` is readable while there are completions, so that a
/// thread can wait for them beside other things. Letting go of the ring waits for what is under way.
@safe
public final class IOUring {
  /// What an operation came to.
  public struct Completion: Sendable {
    /// The token that it was begun with.
    public let token: UInt64
    /// What the call would have returned, or a negative errno.
    public let result: Int32
  }

  /// When the kernel does what an operation ends with.
  ///
  /// There is a third way, when the thread asks for it (`IORING_SETUP_DEFER_TASKRUN`). It is no faster
  /// here, and a thread that waits for the ring in epoll_wait(2) is not woken (Linux 6.18).
  public enum Work: String, Sendable, CaseIterable {
    /// When the ring's thread makes any call (`IORING_SETUP_COOP_TASKRUN`, Linux 5.19).
    case cooperative
    /// By interrupting the ring's thread.
    case plain
  }

  /// The most operations that are under way at once.
  public let capacity: Int
  /// When the kernel does what an operation ends with.
  public let work: Work
  /// How many operations are under way, or collected for the next ``enter(waitingFor:)``.
  public private(set) var pendingCount = 0
  /// How many of those are collected.
  public private(set) var collectedCount = 0

  // The kernel's memory, as liburing has mapped it; it lives as long as this object.
  private let ring: OpaquePointer
  // Where it goes back to.
  private let pool: IOUringPool?
  private let batch: UnsafeMutablePointer<apus_uring_completion>
  private var nextTaken = 0
  private var takenCount = 0

  // Completions that are read from the kernel's memory at once.
  private static var batchCount: Int { 64 }

  /// Makes a ring on the files with the numbers in `files`, or takes one that was made before the process was shut in.
  ///
  /// - Parameters:
  ///   - capacity: How many operations may be under way; a power of 2 from 1 to 32768.
  ///   - files: Held open by the ring; operations name them by their place in the list.
  ///   - work: Whether to begin with less than the best that the kernel has.
  /// - Throws: ``SystemError``: `ENOSYS` or `EPERM` where the kernel or its administrator refuses
  ///   io_uring, `ENOMEM` where the limit on locked memory is too low for it, `ENOSPC` where all rings of
  ///   a sandbox are in use.
  public convenience init(
    capacity: Int,
    files: [Int32],
    work: Work = .cooperative
  ) throws(SystemError) {
    try self.init(capacity: capacity, files: files, work: work, from: IOUringPool.installed)
  }

  /// As ``init(capacity:files:work:)``, with a ring of `pool` if there is one.
  package init(
    capacity: Int,
    files: [Int32],
    work: Work = .cooperative,
    from pool: IOUringPool?
  ) throws(SystemError) {
    let (made, used): (OpaquePointer, Work)
    if let pool {
      unsafe (made, used) = (try pool.take(capacity: capacity), pool.work)
    } else {
      unsafe (made, used) = try Self.make(capacity: capacity, work: work, isRestricted: false)
    }
    var code: Int32 = 0
    // Saves the kernel a look-up in every call; before Linux 5.18 it cannot.
    _ = unsafe apus_uring_register_itself(made)
    if !files.isEmpty {
      code = unsafe apus_uring_register_files(made, files, UInt32(files.count))
    }
    guard code >= 0 else {
      if let pool { unsafe pool.giveBack(made) } else { unsafe apus_uring_destroy(made) }
      throw SystemError(call: "io_uring_register", code: -code, subject: "files")
    }
    unsafe ring = made
    self.pool = pool
    unsafe batch = .allocate(capacity: Self.batchCount)
    self.capacity = capacity
    self.work = used
  }

  deinit {
    // The kernel still reads and writes the memory of what is under way.
    while pendingCount > 0 {
      // A wait that fails for good would let the kernel write to memory that is somebody else's by
      // then: rather keep the ring.
      guard hasCompletions || enter(waitingFor: 1) else { return }
      while take() != nil {}
    }
    unsafe batch.deallocate()
    if let pool { unsafe pool.giveBack(ring) } else { unsafe apus_uring_destroy(ring) }
  }

  /// Makes a ring with no files.
  ///
  /// - Throws: ``SystemError``, as ``init(capacity:files:work:)``.
  @unsafe
  static func make(
    capacity: Int,
    work: Work,
    isRestricted: Bool
  ) throws(SystemError) -> (ring: OpaquePointer, work: Work) {
    var made: OpaquePointer?
    var code: Int32 = -EINVAL
    var used = work
    // EINVAL is the answer of a kernel that does not know a flag.
    for candidate in Work.allCases.drop(while: { $0 != work }) where code == -EINVAL {
      used = candidate
      code = unsafe apus_uring_create(UInt32(capacity), candidate.raw, isRestricted ? 1 : 0, &made)
    }
    guard code == 0, let made = unsafe made else {
      throw SystemError(call: "io_uring_setup", code: -code)
    }
    return unsafe (made, used)
  }

  /// The ring's descriptor, valid while it lives: readable from the first completion on until
  /// ``take()`` finds no more.
  public var descriptor: Int32 { unsafe apus_uring_descriptor(ring) }

  /// Whether another operation can be collected.
  public var hasRoom: Bool { pendingCount < capacity }

  /// Whether ``take()`` would find a completion, told by shared memory alone.
  public var hasCompletions: Bool {
    // The kernel may note that something is due when it was done meanwhile.
    pendingCount > 0 && (nextTaken < takenCount || hasReady || hasDue)
  }

  private var hasReady: Bool { unsafe apus_uring_count(ring) > 0 }
  // Whether the kernel has completions that only a call brings in.
  private var hasDue: Bool { unsafe apus_uring_has_due(ring) != 0 }

  /// Hands what was collected to the kernel, and takes in what is due, with one call.
  ///
  /// - Parameter count: How many completions to wait for; no more than are pending.
  /// - Returns: False if the kernel is short of something: what it did not take stays collected, and
  ///   is handed over the next time.
  @discardableResult
  public func enter(waitingFor count: Int = 0) -> Bool {
    let wanted = UInt32(min(max(count, 0), pendingCount))
    while true {
      let code = unsafe apus_uring_enter(ring, wanted)
      if code == -EINTR { continue }
      guard code >= 0 else { return false }
      collectedCount -= min(Int(code), collectedCount)
      // The kernel stops at an operation that it refuses outright, and tells in its completion.
      if collectedCount == 0 || code == 0 { return collectedCount == 0 }
    }
  }

  /// Takes the next completion, if one is there.
  ///
  /// Makes a call only where the kernel has completions that are not in shared memory yet.
  public func take() -> Completion? {
    if nextTaken == takenCount {
      nextTaken = 0
      takenCount = 0
      if !hasReady {
        guard hasDue else { return nil }
        enter()
      }
      // SAFETY: the batch has room for as many.
      takenCount = unsafe Int(apus_uring_take(ring, batch, UInt32(Self.batchCount)))
      if takenCount == 0 { return nil }
    }
    // SAFETY: below the number of those that were filled.
    let entry = unsafe batch[nextTaken]
    nextTaken += 1
    pendingCount -= 1
    return Completion(token: entry.token, result: entry.result)
  }

  /// Collects a read into `count` segments, an array of `iovec`.
  ///
  /// The bytes must stay valid until the operation's completion has been taken, the list itself until
  /// ``enter(waitingFor:)``.
  ///
  /// - Returns: False if there is no room.
  @unsafe
  public func read(
    _ segments: UnsafeRawPointer,
    count: Int,
    file: Int,
    at offset: UInt64,
    flags: TransferFlags,
    token: UInt64
  ) -> Bool {
    let bits = UInt32(bitPattern: flags.rawValue)
    return collect {
      unsafe apus_uring_read(ring, Int32(file), segments, UInt32(count), offset, bits, token)
    }
  }

  /// Collects a write of `count` segments, under the conditions of
  /// ``read(_:count:file:at:flags:token:)``.
  ///
  /// - Returns: False if there is no room.
  @unsafe
  public func write(
    _ segments: UnsafeRawPointer,
    count: Int,
    file: Int,
    at offset: UInt64,
    flags: TransferFlags,
    token: UInt64
  ) -> Bool {
    let bits = UInt32(bitPattern: flags.rawValue)
    return collect {
      unsafe apus_uring_write(ring, Int32(file), segments, UInt32(count), offset, bits, token)
    }
  }

  /// Collects a write of zeroes, of the first of `count` bytes.
  ///
  /// - Returns: False if there is no room.
  public func writeZeroes(file: Int, at offset: UInt64, count: UInt64, token: UInt64) -> Bool {
    // SAFETY: the zeroes stay where they are for as long as the process, and are only read.
    let start = unsafe UnsafeMutableRawPointer(mutating: apus_zeroes())
    let part = Int(min(count, UInt64(apus_zeroes_count)))
    var segment = unsafe iovec(iov_base: start, iov_len: part)
    return unsafe withUnsafeMutablePointer(to: &segment) { segment in
      unsafe write(
        segment,
        count: 1,
        file: file,
        at: offset,
        flags: [],
        token: token
      )
    }
  }

  /// Collects an fdatasync(2).
  ///
  /// - Returns: False if there is no room.
  public func synchronize(file: Int, token: UInt64) -> Bool {
    collect { unsafe apus_uring_sync(ring, Int32(file), token) }
  }

  /// Collects a fallocate(2).
  ///
  /// - Returns: False if there is no room.
  public func allocate(
    file: Int,
    mode: Int32,
    at offset: UInt64,
    count: UInt64,
    token: UInt64
  ) -> Bool {
    collect { unsafe apus_uring_allocate(ring, Int32(file), mode, offset, count, token) }
  }

  /// Collects any operation there is, by its number; for finding out what a ring of a sandbox refuses.
  ///
  /// - Parameters:
  ///   - operation: Its `IORING_OP_` number.
  ///   - isRegistered: Whether `file` is the place of a registered one.
  ///   - file: A descriptor, or what else the operation takes there.
  ///   - address: What the operation reads or writes; valid until its completion has been taken.
  ///   - count: Its length.
  ///   - token: Comes back with the completion.
  /// - Returns: False if there is no room.
  @unsafe
  package func request(
    _ operation: UInt8,
    isRegistered: Bool,
    file: Int32,
    address: UnsafeRawPointer? = nil,
    count: UInt32 = 0,
    token: UInt64
  ) -> Bool {
    collect {
      unsafe apus_uring_request(ring, operation, isRegistered ? 1 : 0, file, address, count, token)
    }
  }

  /// Has a thread of the kernel's do the operation that was collected last, which would wait.
  public func detachLast() { unsafe apus_uring_detach_last(ring) }

  @inline(__always)
  private func collect(_ body: () -> Int32) -> Bool {
    guard hasRoom, body() != 0 else { return false }
    pendingCount += 1
    collectedCount += 1
    return true
  }
}

extension IOUring.Work {
  fileprivate var raw: apus_uring_work {
    switch self {
    case .cooperative: APUS_URING_COOPERATIVE
    case .plain: APUS_URING_PLAIN
    }
  }
}
