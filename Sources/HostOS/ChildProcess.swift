import CLinux
import Glibc

/// A child process that does not outlive its parent, however the parent ends.
///
/// Start it on a thread that lasts as long as the child should: the kernel kills the child when
/// that thread ends (`PR_SET_PDEATHSIG`). Letting go of the value kills the child and reaps it.
public struct ChildProcess: ~Copyable {
  /// How a process ended.
  public enum Ending: Equatable, Sendable {
    /// It exited with this code.
    case exited(Int32)
    /// This signal killed it.
    case signalled(Int32)
  }

  /// The process id.
  public let id: Int32
  private let handle: OwnedFileDescriptor
  private let hasOwnGroup: Bool
  private var isReaped = false

  /// Starts `path` with `arguments`, the first being the program's name.
  ///
  /// - Parameters:
  ///   - path: The program's file.
  ///   - arguments: All of its arguments, from `argv[0]` on.
  ///   - environment: Its environment, as `NAME=value`.
  ///   - descriptors: What its descriptors 0, 1, 2 and so on are; it gets no others. At most 32.
  ///   - hasOwnGroup: Whether it leaves our process group, so that a terminal's signals do not reach it.
  /// - Throws: ``SystemError`` if the program cannot be started.
  public init(
    _ path: String,
    _ arguments: [String],
    environment: [String],
    descriptors: [Int32],
    hasOwnGroup: Bool = false
  ) throws(SystemError) {
    let id = unsafe withCStrings(arguments) { arguments in
      unsafe withCStrings(environment) { environment in
        // SAFETY: both arrays end in a null pointer and live for the length of the call.
        unsafe path.withCString { path in
          unsafe apus_spawn(
            path,
            arguments,
            environment,
            descriptors,
            Int32(descriptors.count),
            hasOwnGroup ? 1 : 0
          )
        }
      }
    }
    guard id > 0 else { throw SystemError(call: "execve", code: errno, subject: path) }
    let number = apus_pidfd_open(id)
    guard number >= 0 else {
      let code = errno
      _ = kill(id, SIGKILL)
      _ = waitpid(id, nil, 0)
      throw SystemError(call: "pidfd_open", code: code, subject: path)
    }
    self.id = id
    self.hasOwnGroup = hasOwnGroup
    handle = OwnedFileDescriptor(adopting: number)
  }

  deinit {
    guard !isReaped else { return }
    _ = kill(id, SIGKILL)
    _ = try? retrying("waitpid") { waitpid(id, nil, 0) }
  }

  /// For ``Poller``: readable once the process has ended.
  public var pollable: Int32 { handle.rawValue }

  /// Sends a signal.
  public borrowing func signal(_ number: Int32) {
    // The id cannot have been reused: the child is not reaped yet.
    if !isReaped { _ = kill(id, number) }
  }

  /// Sends a signal to the process and what it has started, where it was given a group of its own.
  public borrowing func signalGroup(_ number: Int32) {
    if !isReaped, hasOwnGroup { _ = kill(-id, number) }
  }

  /// Waits for the end of the process.
  public mutating func wait() -> Ending {
    var status: Int32 = 0
    let id = id
    _ = try? retrying("waitpid") { unsafe waitpid(id, &status, 0) }
    isReaped = true
    return apus_wifexited(status) != 0
      ? .exited(apus_wexitstatus(status)) : .signalled(apus_wtermsig(status))
  }
}

/// Calls `body` with `strings` as a null-terminated array of C strings.
private func withCStrings<Result>(
  _ strings: [String],
  _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
  var pointers = unsafe strings.map { unsafe strdup($0) }
  unsafe pointers.append(nil)
  defer { unsafe pointers.forEach { unsafe free($0) } }
  return unsafe pointers.withUnsafeBufferPointer {
    unsafe body($0.baseAddress.unsafelyUnwrapped)
  }
}
