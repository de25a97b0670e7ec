import CLinux
import Glibc

/// What a process may have of things that the host has a bounded number of (getrlimit(2)).
public struct ResourceLimits: Equatable, Sendable {
  /// How many descriptors.
  public var descriptors: UInt64
  /// How many threads, the kernel's own for io_uring included; counted only in a user namespace, since elsewhere all of the
  /// user's processes count.
  public var threads: UInt64

  /// Chooses limits.
  public init(descriptors: UInt64, threads: UInt64) {
    self.descriptors = descriptors
    self.threads = threads
  }

  /// Lowers the process's limits to these; none is ever raised.
  func apply(countsThreads: Bool) throws(SystemError) -> String {
    try Self.set(APUS_LIMIT_CORE, 0, "RLIMIT_CORE")
    try Self.set(APUS_LIMIT_MESSAGES, 0, "RLIMIT_MSGQUEUE")
    try Self.set(APUS_LIMIT_REAL_TIME, 0, "RLIMIT_RTPRIO")
    try Self.set(APUS_LIMIT_FILES, descriptors, "RLIMIT_NOFILE")
    guard countsThreads else { return "\(descriptors) descriptors, no core" }
    try Self.set(APUS_LIMIT_PROCESSES, threads, "RLIMIT_NPROC")
    return "\(descriptors) descriptors, \(threads) threads, no core"
  }

  /// Has the kernel take this process first when the host is out of memory (proc_pid_oom_score_adj(5)).
  ///
  /// By size alone it would take the one that has the guest's memory.
  static func beFirstToEnd() throws(SystemError) {
    let file = try OwnedFileDescriptor(opening: "/proc/self/oom_score_adj", O_WRONLY)
    try FileIO.writeAll(file.rawValue, Array("1000".utf8))
  }

  private static func set(
    _ kind: apus_limit_kind,
    _ value: UInt64,
    _ name: String
  ) throws(SystemError) {
    _ = try retrying("setrlimit", name) { apus_limit(apus_limit_number(kind), value) }
  }
}
