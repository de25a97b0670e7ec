import CLinux
import Glibc

/// The process's standard input, output and error.
public enum StandardStreams {
  /// Opens /dev/null in place of each one that is closed.
  ///
  /// Otherwise the next file to be opened gets its number, and takes what is meant for the user: a
  /// disk image, say. To be called first of all, before any file is opened.
  public static func fillGaps() {
    while true {
      // The lowest free number is what a file gets (open(2)).
      let number = unsafe apus_open("/dev/null", O_RDWR, 0)
      if number > STDERR_FILENO { _ = close(number) }
      if number < 0 || number >= STDERR_FILENO { return }
    }
  }
}
