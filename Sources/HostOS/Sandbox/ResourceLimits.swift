import CLinux
import Glibc

/// What a process may have of things that the host has a bounded number of (getrlimit(2)).
public struct ResourceLimits: Equatable, Sendable {
  /// How many descriptors.
  public var descriptors: UInt64
  /// How many threads, the kernel's own for io_uring included; counted only in a user namespace, since elsewhere all of the
  /// user's processes count.
  public var threads: UInt64
  /// How many bytes of its own memory it may write to, stacks of threads included; what it shares with others, such as a guest's
  /// memory, does not count.
  public var memory: UInt64

  /// Chooses limits.
  public init(descriptors: UInt64, threads: UInt64, memory: UInt64 = 1 << 30) {
    self.descriptors = descriptors
    self.threads = threads
    self.memory = memory
  }

  /// Lowers the process's limits to these; none is ever raised.
  func apply(countsThreads: Bool) throws(SystemError) -> String {
    try Self.set(APUS_LIMIT_CORE, 0, "RLIMIT_CORE")
    try Self.set(APUS_LIMIT_MESSAGES, 0, "RLIMIT_MSGQUEUE")
    try Self.set(APUS_LIMIT_REAL_TIME, 0, "RLIMIT_RTPRIO")
    try Self.set(APUS_LIMIT_FILES, descriptors, "RLIMIT_NOFILE")
    let bound = try boundMemory()
    guard countsThreads else { return "\(descriptors) descriptors, \(bound), no core" }
    try Self.set(APUS_LIMIT_PROCESSES, threads, "RLIMIT_NPROC")
    return "\(descriptors) descriptors, \(threads) threads, \(bound), no core"
  }

  /// Bounds the memory, unless the process has more already: a sanitizer's shadow is counted.
  private func boundMemory() throws(SystemError) -> String {
    let file = try OwnedFileDescriptor(opening: "/proc/self/statm", O_RDONLY)
    let bytes = try FileIO.read(file.rawValue, atMost: 256) ?? []
    // proc_pid_statm(5): the sixth number is that of data and stack, in pages.
    let words = bytes.split(separator: UInt8(ascii: " "))
    let pages = words.count > 5 ? UInt64(String(decoding: words[5], as: UTF8.self)) : nil
    guard let pages, pages < memory / 2 / 4096 else { return "memory without a bound" }
    try Self.set(APUS_LIMIT_DATA, memory, "RLIMIT_DATA")
    return "\(memory >> 20) MiB of memory"
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
