import Glibc

/// Namespaces of the kernel (namespaces(7)), by their flags of clone(2).
public struct SandboxNamespaces: OptionSet, Hashable, Sendable {
  /// The flags.
  public let rawValue: UInt
  /// Wraps flags.
  public init(rawValue: UInt) { self.rawValue = rawValue }

  /// Mounts (`CLONE_NEWNS`).
  public static var mounts: Self { Self(rawValue: 0x0002_0000) }
  /// The host's name (`CLONE_NEWUTS`).
  public static var hostName: Self { Self(rawValue: 0x0400_0000) }
  /// System V objects and message queues (`CLONE_NEWIPC`).
  public static var messages: Self { Self(rawValue: 0x0800_0000) }
  /// Users and groups (`CLONE_NEWUSER`).
  public static var users: Self { Self(rawValue: 0x1000_0000) }
  /// Processes (`CLONE_NEWPID`).
  public static var processes: Self { Self(rawValue: 0x2000_0000) }
  /// The network (`CLONE_NEWNET`).
  public static var network: Self { Self(rawValue: 0x4000_0000) }

  /// All of these.
  public static var all: Self { [.users, .mounts, .processes, .messages, .network, .hostName] }

  /// Each with its layer, and its name under `/proc/PID/ns`.
  static var known: [(namespace: Self, layer: SandboxLayer, name: String)] {
    [
      (.users, .users, "user"), (.mounts, .mounts, "mnt"), (.processes, .processes, "pid"),
      (.messages, .messages, "ipc"), (.network, .network, "net"), (.hostName, .hostName, "uts"),
    ]
  }

  /// Those of them that the kernel was built with.
  var offered: Self {
    Self.known.reduce(into: self) { left, known in
      // SAFETY: the bridged path is NUL-terminated for the length of the call.
      let isThere = unsafe "/proc/self/ns/\(known.name)".withCString {
        unsafe access($0, F_OK) == 0
      }
      if !isThere { left.remove(known.namespace) }
    }
  }
}
