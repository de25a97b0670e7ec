import CLinux
import Glibc

/// Whom a device's process runs as.
///
/// In a user namespace there is one user and one group, both called ``number`` in there. Outside, they are nobody's if the caller
/// may choose, and the caller's own otherwise.
struct SandboxIdentity: Equatable, Sendable {
  /// What the overflow user and group are on every Linux: nobody.
  static var number: UInt32 { 65534 }

  private static var setGroup: Int32 { 6 }  // CAP_SETGID
  private static var setUser: Int32 { 7 }  // CAP_SETUID

  /// The user outside.
  let user: UInt32
  /// The group outside.
  let group: UInt32
  /// Whether it is another than the caller.
  let isChosen: Bool

  /// Nobody, if the calling process may be anybody and is the superuser; itself otherwise.
  init() {
    isChosen =
      geteuid() == 0 && apus_has_capability(Self.setUser) != 0
      && apus_has_capability(Self.setGroup) != 0
    user = isChosen ? Self.number : geteuid()
    group = isChosen ? Self.number : getegid()
  }

  /// Names the user and group of a process that was just started in a user namespace; for its parent.
  func map(_ process: Int32) throws(SystemError) {
    let folder = "/proc/\(process)"
    // Without the right to change groups, a process may be mapped only once it cannot leave one either.
    if !isChosen { try Self.write("deny", to: "\(folder)/setgroups") }
    try Self.write("\(Self.number) \(user) 1", to: "\(folder)/uid_map")
    try Self.write("\(Self.number) \(group) 1", to: "\(folder)/gid_map")
  }

  /// Becomes that user, for good; `isMapped` says whether ``map(_:)`` was.
  func assume(isMapped: Bool) throws(SystemError) -> String {
    if isChosen { _ = try retrying("setgroups") { apus_drop_groups() } }
    if isChosen || isMapped {
      _ = try retrying("setresuid") { apus_set_user(Self.number, Self.number) }
    }
    return "user \(user), group \(group)"
  }

  private static func write(_ text: String, to path: String) throws(SystemError) {
    let file = try OwnedFileDescriptor(opening: path, O_WRONLY)
    do throws(SystemError) {
      try FileIO.writeAll(file.rawValue, Array(text.utf8))
    } catch {
      throw SystemError(call: "write", code: error.code, subject: path)
    }
  }
}
