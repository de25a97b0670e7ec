/// One of the walls around a device's process.
public enum SandboxLayer: String, CaseIterable, Sendable {
  /// Of descriptors that the process was started with, only those that it was told of are open.
  case descriptors
  /// A user namespace: ids mean nothing outside.
  case users = "user namespace"
  /// A mount namespace: what is mounted elsewhere is not here.
  case mounts = "mount namespace"
  /// A pid namespace: no other process has a number.
  case processes = "pid namespace"
  /// An IPC namespace: no System V objects and no message queues of others.
  case messages = "ipc namespace"
  /// A network namespace: no interfaces, no addresses, no abstract sockets of others.
  case network = "network namespace"
  /// A UTS namespace: a host's name of its own.
  case hostName = "uts namespace"
  /// There is no file under `/`, and none can be made.
  case root = "empty root"
  /// The user and group that the process runs as.
  case identity
  /// No capability in any set, and no way to one.
  case capabilities = "no capabilities"
  /// No program that is run has more rights (`no_new_privs`).
  case privileges = "no new privileges"
  /// Limits of descriptors, threads and other things.
  case limits
  /// Landlock: no file, no TCP port, no abstract socket and no process outside can be reached.
  case landlock
  /// Only the system calls of a list.
  case systemCalls = "system calls"

  /// How it went.
  public enum State: Equatable, Sendable {
    /// It stands; with what is worth knowing of it, or an empty text.
    case inForce(String)
    /// The host refuses it, for this reason.
    case refused(String)
    /// This device does without it, for this reason.
    case notWanted(String)
  }
}

extension SandboxLayer.State: CustomStringConvertible {
  /// As in `refused: Operation not permitted`.
  public var description: String {
    switch self {
    case .inForce(""): "in force"
    case .inForce(let detail): "in force: \(detail)"
    case .refused(let reason): "refused by the host: \(reason)"
    case .notWanted(let reason): "not wanted: \(reason)"
    }
  }
}
