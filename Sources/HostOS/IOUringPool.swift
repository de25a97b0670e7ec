import CUring
import Glibc
import Synchronization

/// Rings that were made ahead, for a process that must not make any.
///
/// What a ring does, no filter of system calls sees: not that it opens files, connects or sends. So
/// ``Sandbox`` makes the rings that a device will need, has the kernel hold each to reads, writes and
/// the like of registered files, for good, and takes the call away that makes others. ``IOUring`` takes
/// from here from then on, and gives back. Any thread may call.
package final class IOUringPool: Sendable {
  private static let current = Mutex<IOUringPool?>(nil)

  /// That of the process; `nil` while rings are made as they are needed.
  static var installed: IOUringPool? { current.withLock { $0 } }

  /// How many operations each ring does at once.
  let capacity: Int
  /// When the kernel does what an operation ends with.
  let work: IOUring.Work
  /// Why there are not as many as were wanted, if there are not.
  let failure: SystemError?
  // The addresses of liburing's, which are this object's while they are here.
  private let rings: Mutex<[UInt]>

  /// Makes as many rings as the host has room for, up to `count`.
  ///
  /// - Parameters:
  ///   - count: How many are wanted.
  ///   - capacity: How many operations each does at once; a power of 2 from 1 to 32768.
  package init(count: Int, capacity: Int) {
    var rings: [UInt] = []
    var failure: SystemError?
    var work = IOUring.Work.cooperative
    do throws(SystemError) {
      for _ in 0..<count {
        let made = unsafe try IOUring.make(capacity: capacity, work: work, isRestricted: true)
        work = unsafe made.work
        rings.append(unsafe UInt(bitPattern: made.ring))
      }
    } catch {
      failure = error
    }
    self.capacity = capacity
    self.work = work
    self.failure = failure
    self.rings = Mutex(rings)
  }

  deinit {
    for ring in rings.withLock({ $0 }) {
      // SAFETY: nobody has it any more.
      unsafe apus_uring_destroy(OpaquePointer(bitPattern: ring))
    }
  }

  /// How many rings are there to be taken.
  package var count: Int { rings.withLock { $0.count } }

  /// Has all rings of the process come from `pool` from now on.
  package static func install(_ pool: IOUringPool) { current.withLock { $0 = pool } }

  /// Takes a ring, for the calling thread to use; it has no files.
  ///
  /// - Throws: ``SystemError``: why there are not more, or `ENOSPC` if all are taken or too small.
  @unsafe
  func take(capacity: Int) throws(SystemError) -> OpaquePointer {
    let taken = capacity <= self.capacity ? rings.withLock { $0.popLast() } : nil
    guard let taken, let ring = unsafe OpaquePointer(bitPattern: taken) else {
      throw failure ?? SystemError(call: "io_uring_setup", code: ENOSPC, subject: "in the sandbox")
    }
    // SAFETY: it was made by ``init``, and is nobody else's now.
    unsafe apus_uring_adopt(ring)
    return unsafe ring
  }

  /// Takes a ring back that has nothing under way.
  @unsafe
  func giveBack(_ ring: OpaquePointer) {
    // SAFETY: the caller's until now.
    unsafe apus_uring_leave(ring)
    let address = UInt(bitPattern: ring)
    rings.withLock { $0.append(address) }
  }
}
