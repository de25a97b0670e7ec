import CLinux
import Glibc
import Synchronization

/// A memory barrier that one thread imposes on every running thread of the process: membarrier(2).
///
/// It turns a pair of full barriers, one on a hot and one on a cold path, into a compiler barrier on
/// the hot path and a system call on the cold one.
public enum ProcessBarrier {
  /// Whether the kernel offers it; the first use registers the process for it.
  public static let isAvailable: Bool = {
    let register = Int32(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED.rawValue)
    return apus_membarrier(register, 0) == 0
  }()

  /// Registers the process, if the kernel offers it.
  ///
  /// Worth while before there is a second thread: from then on the kernel waits until all processors have noticed,
  /// which takes some 10 ms.
  public static func prepare() { _ = isAvailable }

  /// Returns after each thread of the process has passed a full barrier; needs ``isAvailable``.
  public static func issue() {
    precondition(isAvailable, "membarrier was not registered")
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let result = apus_membarrier(Int32(MEMBARRIER_CMD_PRIVATE_EXPEDITED.rawValue), 0)
    precondition(result == 0, "membarrier failed with errno \(errno) after it was registered")
  }
}
