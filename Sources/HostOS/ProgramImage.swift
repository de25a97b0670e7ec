import CLinux
import Glibc

/// The program's own code, as far as it is in memory.
public enum ProgramImage {
  /// Lets go of the code and constants that start-up alone needed.
  ///
  /// Parsing a command line, and what the libraries do before `main`, touch megabytes that a running
  /// guest never needs again. The pages stay in the page cache; those that are used again are mapped
  /// again when they are, a few at a time. To be called once, when the guest runs.
  public static func releaseStartupPages() {
    let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
    let start = (apus_image_start() + page - 1) / page * page
    let end = apus_code_end() / page * page
    guard start < end, let address = unsafe UnsafeMutableRawPointer(bitPattern: start) else {
      return
    }
    // SAFETY: the range is a private mapping of the program's file that nobody writes to, so that
    // its pages come back unchanged (madvise(2), MADV_DONTNEED).
    _ = unsafe madvise(address, Int(end - start), MADV_DONTNEED)
  }
}
