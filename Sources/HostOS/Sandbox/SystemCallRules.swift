import Glibc

/// The system calls that device processes make, by what they make them for.
///
/// Found by tracing each kind of device at work, and by reading what glibc and the Swift runtime do on paths that a trace may not
/// have met. Whatever is not here ends the process.
public enum SystemCallRules {
  private static var executable: UInt64 { 0x4 }  // PROT_EXEC
  private static var anonymous: UInt64 { 0x20 }  // MAP_ANONYMOUS
  private static var growsDown: UInt64 { 0x100 }  // MAP_GROWSDOWN
  private static var mappingKind: UInt64 { growsDown | anonymous | 1 }  // MAP_SHARED
  // What pthread_create(3) asks for: a thread, and nothing that a process could be.
  private static var threadFlags: UInt64 { 0x3D_0F00 }
  private static var emptyPath: UInt64 { 0x1000 }  // AT_EMPTY_PATH
  private static var setName: UInt64 { 15 }  // PR_SET_NAME

  /// Memory, threads, time and the end: what every process needs.
  public static var process: [SystemCallRule] {
    SystemCallRule.allow(
      all: "brk",
      "munmap",
      "mremap",
      "futex",
      "set_robust_list",
      "rseq",
      "membarrier",
      "sched_yield",
      "sched_getaffinity",
      "gettid",
      "getpid",
      "getrandom",
      "clock_gettime",
      "clock_getres",
      "clock_nanosleep",
      "nanosleep",
      "gettimeofday",
      "restart_syscall",
      "rt_sigprocmask",
      "rt_sigreturn",
      "sigaltstack",
      "exit",
      "exit_group"
    ) + [
      // What glibc and we say of memory of this process's: that it is free, or may be in huge pages. Pages of files, such as
      // the guest's memory, are not to be removed.
      .allow("madvise", .equals(2, 4)),  // MADV_DONTNEED
      .allow("madvise", .equals(2, 8)),  // MADV_FREE
      .allow("madvise", .equals(2, 14)),  // MADV_HUGEPAGE
      .allow("madvise", .equals(2, 102)),  // MADV_GUARD_INSTALL, of stacks
      .allow("madvise", .equals(2, 103)),  // MADV_GUARD_REMOVE
      // Memory is for data: no new code.
      // What is its own counts against its limit (RLIMIT_DATA), and what is a file's belongs to that file. Memory that is shared but no
      // file's would count nowhere, nor would what grows downwards.
      .allow("mmap", .lacks(2, executable), .masked(3, mappingKind, anonymous)),
      .allow("mmap", .lacks(2, executable), .masked(3, growsDown | anonymous, 0)),
      .allow("mprotect", .lacks(2, executable)),
      .allow("clone", .equals(0, threadFlags)),
      // Its flags are in memory, where no filter sees them; glibc takes clone(2) then.
      .fail("clone3", ENOSYS),
      // Handlers stay those that there are, but for the two that glibc installs with the first thread.
      .allow("rt_sigaction", .isNull(1)),
      .allow("rt_sigaction", .equals(0, 32)),
      .allow("rt_sigaction", .equals(0, 33)),
      .allow("prctl", .equals(0, setName)),
    ]
  }

  /// Giving pages of the guest's memory back to the host.
  public static var discarding: [SystemCallRule] {
    [.allow("madvise", .equals(2, 9))]  // MADV_REMOVE
  }

  /// Descriptors, whatever they stand for; waiting for them; and what stands for no file.
  public static var descriptors: [SystemCallRule] {
    SystemCallRule.allow(
      all: "read",
      "write",
      "readv",
      "writev",
      "preadv2",
      "close",
      "lseek",
      "poll",
      "ppoll",
      "epoll_create1",
      "epoll_ctl",
      "epoll_wait",
      "epoll_pwait",
      "eventfd2",
      "timerfd_create",
      "timerfd_settime",
      "timerfd_gettime",
      "memfd_create",
      "ftruncate",
      "fstatfs",
      "fstat"
    ) + [
      // Of what is open, not of a path.
      .allow("newfstatat", .has(3, emptyPath)),
      .allow("statx", .has(2, emptyPath)),
    ]
      + [F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, addSeals, getSeals].map {
        .allow("fcntl", .equals(1, UInt64($0)))
      }
  }
  private static var addSeals: Int32 { 1033 }
  private static var getSeals: Int32 { 1034 }

  /// Connections that are made already; others may come with messages.
  public static var connections: [SystemCallRule] {
    SystemCallRule.allow(
      all: "recvmsg",
      "sendmsg",
      "recvfrom",
      "sendto",
      "shutdown",
      "getsockopt"
    ) + [
      // Of streams: one of datagrams sends to any address.
      .allow("socketpair", .equals(0, UInt64(AF_UNIX)), .masked(1, 0xF, stream))
    ]
  }

  private static var stream: UInt64 { 1 }  // SOCK_STREAM; the bits above the type are flags

  /// Files and block devices, by calls.
  public static var storage: [SystemCallRule] {
    SystemCallRule.allow(
      all: "pread64",
      "pwrite64",
      "preadv",
      "pwritev",
      "pwritev2",
      "fsync",
      "fdatasync",
      "fallocate",
      "mincore"
    )
      // BLKGETSIZE64, BLKDISCARD, BLKZEROOUT.
      + [0x8008_1272, 0x1277, 0x127F].map { .allow("ioctl", .equals(1, $0)) }
      // Of the thread itself.
      + [.allow("getrusage", .equals(0, 1))]
  }

  /// Interfaces of the host (the kernel's `if_tun.h`): what they offload, and how long the header of a frame is.
  public static var interfaces: [SystemCallRule] {
    // TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETQUEUE, TUNSETVNETLE, TUNGETIFF, TUNGETFEATURES.
    [0x4004_54D0, 0x4004_54D8, 0x4004_54D9, 0x4004_54DC, 0x8004_54D2, 0x8004_54CF].map {
      .allow("ioctl", .equals(1, $0))
    }
  }

  /// io_uring (io_uring_enter(2)), with registered files and rings; with those that were made before, and do no more than disks need.
  public static var ring: [SystemCallRule] {
    SystemCallRule.allow(all: "io_uring_enter")
      // Files and the thread's own ring, and both undone. The highest bit says by which number the ring goes.
      + [2, 3, 20, 21].map { .allow("io_uring_register", .masked(1, 0x7FFF_FFFF, $0)) }
  }

  /// New connections to servers, by path or by name, which takes the files that say where names are looked up; to be read only.
  ///
  /// - Parameter makeUnixSockets: Whether by unix sockets too. Else there are none, and what glibc would ask there, it looks up itself.
  /// - Returns: The rules.
  public static func clients(makeUnixSockets: Bool) -> [SystemCallRule] {
    let families = [AF_INET, AF_INET6, netlink] + (makeUnixSockets ? [AF_UNIX] : [])
    return SystemCallRule.allow(
      all: "connect",
      "bind",
      "getsockname",
      "getpeername",
      "sendmmsg",
      "access",
      "faccessat",
      "faccessat2",
      "readlink",
      "getdents64",
      "newfstatat",
      "stat",
      "lstat",
      "uname",
      "getuid",
      "geteuid",
      "getgid",
      "getegid",
      "pread64",
      "sysinfo",
      "fcntl",
      "dup",
      "getrusage"
    )
      + families.map { .allow("socket", .equals(0, UInt64($0))) }
      + (makeUnixSockets ? [] : [.fail("socket", EAFNOSUPPORT, .equals(0, UInt64(AF_UNIX)))])
      + options.map { .allow("setsockopt", .equals(1, $0.level), .equals(2, $0.name)) }
      + [
        .allow("openat", .lacks(2, writing)),
        // How many bytes there are to read, and not to wait for them.
        .allow("ioctl", .equals(1, 0x541B)),
        .allow("ioctl", .equals(1, 0x5421)),
      ]
  }
  // With SO_LINGER, whoever closes a socket last would wait for as long as the device says.
  private static var options: [(level: UInt64, name: UInt64)] {
    [
      (1, 7), (1, 8), (1, 9),  // SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE
      (6, 1), (6, 4), (6, 5), (6, 6),  // TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
      // IP_MTU_DISCOVER, IP_RECVERR, and IPv6's: glibc's resolver.
      (0, 10), (0, 11), (41, 23), (41, 25),
    ]
  }
  private static var netlink: Int32 { 16 }  // AF_NETLINK: which addresses this host has
  private static var writing: UInt64 {
    UInt64(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND)
  }
}
