import CLinux
import Glibc

/// What Landlock denies a process (landlock(7)): everything that the kernel's generation of it knows, but what is listed here.
public struct LandlockRules: Equatable, Sendable {
  /// Folders whose files may be read and run, such as libraries; and files.
  public var readablePaths: [String]
  /// Whether TCP connections may be made.
  public var allowsConnections: Bool
  /// To which ports, where the kernel can tell; empty for any.
  public var ports: [UInt16] = []

  /// Denies everything but what is said.
  public init(readablePaths: [String] = [], allowsConnections: Bool = false) {
    self.readablePaths = readablePaths
    self.allowsConnections = allowsConnections
  }

  /// What of TCP is denied.
  private var tcp: String {
    guard allowsConnections else { return "TCP" }
    let list = ports.map { "\($0)" }.joined(separator: " and ")
    return ports.isEmpty ? "TCP servers" : "TCP other than to port \(list)"
  }

  // Executing, reading files and folders.
  private static var readRights: UInt64 { 0b1101 }
  private static var bind: UInt64 { 1 }
  private static var connect: UInt64 { 2 }

  /// The rights to files that a generation of Landlock can deny.
  static func fileRights(version: Int32) -> UInt64 {
    switch version {
    case ...1: (1 << 13) - 1
    case 2: (1 << 14) - 1
    case 3, 4: (1 << 15) - 1
    default: (1 << 16) - 1
    }
  }

  /// Holds the calling thread, and those that it starts, to the rules; `no_new_privs` must be set.
  ///
  /// - Returns: What the kernel's generation denies.
  /// - Throws: ``SystemError``, `ENOSYS` or `EOPNOTSUPP` for a kernel without it.
  func apply() throws(SystemError) -> String {
    let version = try retrying("landlock_create_ruleset") { apus_landlock_version() }
    let allowsAll = allowsConnections && ports.isEmpty
    let network = allowsAll ? Self.bind : Self.bind | Self.connect
    let number = try retrying("landlock_create_ruleset") {
      apus_landlock_create(Self.fileRights(version: version), network, 0b11, version)
    }
    let ruleset = OwnedFileDescriptor(adopting: number)
    for path in readablePaths where unsafe access(path, F_OK) == 0 {
      _ = try retrying("landlock_add_rule", path) {
        unsafe apus_landlock_allow(ruleset.rawValue, Self.readRights, path)
      }
    }
    for port in ports where allowsConnections && version >= 4 {
      _ = try retrying("landlock_add_rule", "port \(port)") {
        apus_landlock_allow_port(ruleset.rawValue, Self.connect, port)
      }
    }
    _ = try retrying("landlock_restrict_self") { apus_landlock_restrict(ruleset.rawValue) }
    var denied = ["files"]
    if version >= 4 { denied.append(tcp) }
    if version >= 6 { denied += ["abstract sockets", "signals"] }
    return "generation \(version): \(denied.joined(separator: ", "))"
  }
}
