import CLinux
import Glibc

/// A root folder with nothing in it, in a mount namespace of the process's own.
enum EmptyRoot {
  // A folder to mount it on for a moment, which a host has.
  private static var places: [String] { ["/proc", "/sys", "/dev", "/tmp", "/run", "/"] }

  /// Makes it the process's root, and lets go of all that was mounted.
  ///
  /// - Returns: What is worth knowing.
  /// - Throws: ``SystemError``, `EPERM` without the right to mount.
  static func enter() throws(SystemError) -> String {
    let isPrivate = UInt(MS_REC) | UInt(MS_PRIVATE)
    try Self.mount(nil, "/", nil, isPrivate, nil)
    let place = try mountEmpty()
    _ = try retrying("chdir", place) { unsafe chdir(place) }
    var detail = ""
    if unsafe apus_pivot_root(".", ".") == 0 {
      _ = try retrying("umount") { unsafe umount2(".", Int32(MNT_DETACH)) }
    } else {
      // The first root of a system, such as an initial RAM disk, cannot be put aside (pivot_root(2)): it is covered.
      try Self.mount(".", "/", nil, UInt(MS_MOVE), nil)
      _ = try retrying("chroot") { unsafe chroot(".") }
      detail = "over the host's first root"
    }
    _ = try retrying("chdir", "/") { unsafe chdir("/") }
    // Not even its times change.
    let flags = UInt(MS_REMOUNT) | UInt(MS_BIND) | UInt(MS_RDONLY) | noneRun
    try Self.mount(nil, "/", nil, flags, nil)
    return detail
  }

  private static var noneRun: UInt { UInt(MS_NOSUID) | UInt(MS_NODEV) | UInt(MS_NOEXEC) }

  /// Mounts a file system with room for its root only.
  ///
  /// - Returns: Where.
  private static func mountEmpty() throws(SystemError) -> String {
    var failure = SystemError(call: "mount", code: ENOENT)
    for place in places {
      do throws(SystemError) {
        try mount("none", place, "tmpfs", noneRun, "size=4k,nr_inodes=1,mode=0555")
        return place
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private static func mount(
    _ source: String?,
    _ target: String,
    _ type: String?,
    _ flags: UInt,
    _ data: String?
  ) throws(SystemError) {
    _ = try retrying("mount", target) {
      // SAFETY: the strings are NUL-terminated and live for the length of the call, as does the data.
      unsafe apus_mount(source, target, type, flags, data)
    }
  }
}
