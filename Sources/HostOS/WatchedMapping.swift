import CLinux
import Glibc

/// A mapping of another process's file, which that process may cut shorter than the mapping.
///
/// A page that is gone reads as zeroes from its first use on, and ``isBroken`` says so; without this,
/// that use would kill the process (`SIGBUS`, mmap(2)).
@safe
public struct WatchedMapping: ~Copyable, Sendable {
  private let mapping: MemoryMapping
  private let number: Int32
  // The handler signals it by its number.
  private let wake: EventFD

  /// Watches `mapping` from now on.
  ///
  /// - Parameters:
  ///   - mapping: What is watched.
  ///   - pageSize: The file's unit, a power of 2; larger than a page for huge ones.
  ///   - wake: Signalled when a page was found to be gone.
  /// - Throws: ``SystemError``, `ENOSPC` if more than 1024 mappings are watched.
  public init(
    _ mapping: consuming MemoryMapping,
    pageSize: Int,
    waking wake: EventFD
  ) throws(SystemError) {
    precondition(pageSize > 0 && pageSize & (pageSize - 1) == 0, "pages of \(pageSize) bytes")
    let start = unsafe UInt(bitPattern: mapping.address)
    let number = apus_watch_add(start, mapping.count, pageSize, wake.rawValue)
    guard number >= 0 else {
      throw SystemError(call: "watching", code: ENOSPC, subject: "another mapping")
    }
    self.mapping = mapping
    self.number = number
    self.wake = wake
  }

  // Before the range can become somebody else's: members go after this.
  deinit { apus_watch_remove(number) }

  /// The first byte; valid only while this value is alive.
  @unsafe public var address: UnsafeMutableRawPointer { unsafe mapping.address }

  /// Whether a page was found to be gone.
  public var isBroken: Bool { apus_watch_is_broken(number) != 0 }
}
