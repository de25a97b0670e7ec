import CLinux
import Glibc

/// Descriptors that the process was started with, and has no use for.
enum InheritedDescriptors {
  /// Closes all but the standard streams.
  ///
  /// What the process has opened itself, or copied for its own use, is closed by exec, which nothing that comes through an exec
  /// can be.
  ///
  /// - Returns: How many there were.
  static func close() throws(SystemError) -> Int {
    let numbers = try all()
    var count = 0
    for number in numbers where number > STDERR_FILENO {
      let flags = apus_fcntl(number, F_GETFD, 0)
      guard flags >= 0, flags & FD_CLOEXEC == 0 else { continue }
      _ = Glibc.close(number)
      count += 1
    }
    return count
  }

  /// Has standard input and output read and write nothing.
  static func emptyStandardStreams(keepsOutput: Bool) throws(SystemError) {
    let null = try OwnedFileDescriptor(opening: "/dev/null", O_RDWR)
    for number in keepsOutput ? [STDIN_FILENO] : [STDIN_FILENO, STDOUT_FILENO] {
      _ = try retrying("dup2") { dup2(null.rawValue, number) }
    }
  }

  /// Closes all that are not among `kept`.
  static func close(allBut kept: [Int32]) {
    var first: UInt32 = 0
    for number in kept.sorted() {
      let number = UInt32(number)
      if number > first { _ = apus_close_range(first, number - 1) }
      first = number + 1
    }
    _ = apus_close_range(first, .max)
  }

  /// The numbers of all open descriptors.
  private static func all() throws(SystemError) -> [Int32] {
    guard let folder = unsafe opendir("/proc/self/fd") else {
      // Without /proc: each number that may be one.
      return Array(0..<min(Int32(clamping: sysconf(Int32(_SC_OPEN_MAX))), 65536))
    }
    defer { unsafe closedir(folder) }
    var numbers: [Int32] = []
    while let entry = unsafe readdir(folder) {
      // SAFETY: the kernel's names are NUL-terminated, within the entry.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if let number = Int32(name) { numbers.append(number) }
    }
    return numbers
  }
}
