import CLinux
import Glibc

/// A shared mapping of a file, unmapped when its owner goes away.
///
/// `Sendable` and movable, never copied. The pages are touched only when used.
@safe
public struct MemoryMapping: ~Copyable, @unchecked Sendable {
  // Sendable: the address and the count never change; users of the bytes synchronise themselves.
  /// The first byte of the mapping; valid only while this value is alive.
  public let address: UnsafeMutableRawPointer
  /// The length in bytes.
  public let count: Int

  /// Maps `count` bytes of `descriptor` from `offset`, shared; readable, and writable unless said otherwise.
  ///
  /// - Parameters:
  ///   - descriptor: The file.
  ///   - offset: Where in the file the mapping starts, a multiple of the page size.
  ///   - count: The length in bytes.
  ///   - reservingPages: Whether to fail now if the host could lack a page later; to be true for
  ///     huge pages, where a lack shows as a fatal signal at the first use.
  ///   - isReadOnly: Whether it is only to be read, as the descriptor may be.
  /// - Throws: ``SystemError``, `ENOMEM` where the address space, the overcommit limit, or the pool of
  ///   huge pages is used up.
  public init(
    of descriptor: borrowing OwnedFileDescriptor,
    offset: Int = 0,
    count: Int,
    reservingPages: Bool = false,
    isReadOnly: Bool = false
  ) throws(SystemError) {
    // SAFETY: the kernel picks the address; nothing existing is replaced.
    let mapped = unsafe mmap(
      nil,
      count,
      isReadOnly ? PROT_READ : PROT_READ | PROT_WRITE,
      MAP_SHARED | (reservingPages ? 0 : MAP_NORESERVE),
      descriptor.rawValue,
      off_t(offset)
    )
    guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
      throw SystemError(call: "mmap", code: errno, subject: "of \(count) bytes")
    }
    unsafe address = mapped
    self.count = count
  }

  /// Asks for huge pages wherever the kernel can have them (madvise(2), `MADV_HUGEPAGE`).
  ///
  /// A wish: a kernel that has none for this kind of file goes on as it is.
  public borrowing func preferHugePages() {
    // SAFETY: the range is mapped, and its contents do not change.
    _ = unsafe madvise(address, count, MADV_HUGEPAGE)
  }

  deinit {
    // SAFETY: the range was mapped by `init` and nobody else unmaps it.
    _ = unsafe munmap(address, count)
  }
}
