import Glibc
import HostOS
import Logging
import Synchronization

/// The thread that looks after a remote: starts its process if it has to, sees it go away, sends heartbeats to
/// those that expect them, and ends it.
final class MPQEMUKeeper: Sendable {
  // How often v8's proxies send a heartbeat, in milliseconds.
  private static var heartbeat: Int32 { 1000 }
  // How long a process may take to end by itself when nobody talks to it any more, in milliseconds.
  private static var grace: Int32 { 3000 }

  /// What the thread and its owner tell one another.
  private final class Shared: Sendable {
    let link: MPQEMULink
    let wake: EventFD
    let isStopping = Atomic(false)
    /// Whether the process could be started; `nil` before that is known.
    let outcome = Mutex<Result<Void, SystemError>?>(nil)
    let started: EventFD
    /// How the process ended, once it has.
    let ending = Mutex<ChildProcess.Ending?>(nil)

    init(_ link: MPQEMULink, _ wake: EventFD) throws(SystemError) {
      self.link = link
      self.wake = wake
      started = try EventFD()
    }
  }

  let link: MPQEMULink
  private let shared: Shared
  private let thread: Mutex<Thread?>

  /// Connects to a remote, or starts it.
  ///
  /// - Throws: `SystemError` if it cannot be reached, or started.
  init(
    _ remote: MPQEMURemote,
    tap: MessageTap? = nil,
    logger: Logger
  ) throws(SystemError) {
    let wake = try EventFD()
    let near: OwnedFileDescriptor
    var far: OwnedFileDescriptor?
    var command: String?
    switch remote.endpoint {
    case .socket(let path): near = try UnixSocket.connect(to: path)
    case .command(let text):
      let pair = try SocketPair()
      near = try pair.near.duplicated()
      far = try pair.far.duplicated()
      command = MPQEMURemote.command(text)
    }
    link = MPQEMULink(near, remote, waking: wake, tap: tap, logger: logger)
    let shared = try Shared(link, wake)
    self.shared = shared
    let handed = Mutex(far.take())
    thread = Mutex(
      try Thread("mpqemu") {
        // The process ends with the thread that starts it.
        Self.run(shared, command, handed.withLock { $0.take() })
      }
    )
    shared.started.wait()
    while shared.outcome.withLock({ $0 == nil }) { shared.started.wait() }
    if case .failure(let error) = shared.outcome.withLock({ $0 }) { throw error }
  }

  deinit { stop() }

  /// How the process that was started here ended, once it has.
  var ending: ChildProcess.Ending? { shared.ending.withLock { $0 } }

  /// Ends the connection, and the process if it was started here; nothing of it is left on return.
  func stop() {
    shared.isStopping.store(true, ordering: .releasing)
    link.end()
    shared.wake.signal()
    thread.withLock { $0 = nil }
  }

  private static func run(
    _ shared: Shared,
    _ command: String?,
    _ far: consuming OwnedFileDescriptor?
  ) {
    var child: ChildProcess?
    do throws(SystemError) {
      if let command { child = try start(command, far) }
      // The process has its own: when that is closed, so is the connection.
      far = nil
      shared.outcome.withLock { $0 = .success(()) }
    } catch {
      shared.outcome.withLock { $0 = .failure(error) }
    }
    shared.started.signal()
    watch(shared, &child)
    // A remote takes that for the end of its work.
    shared.link.close()
    end(shared, &child)
  }

  private static func start(
    _ command: String,
    _ far: borrowing OwnedFileDescriptor?
  ) throws(SystemError) -> ChildProcess {
    let null = try OwnedFileDescriptor(opening: "/dev/null", O_RDONLY)
    let number = far.borrow { $0.rawValue } ?? -1
    return try ChildProcess(
      "/bin/sh",
      ["sh", "-c", "exec " + command],
      environment: ["PATH", "HOME", "TMPDIR", "LANG"].compactMap(variable),
      // What it says is for the user; it is no part of what the guest says.
      descriptors: [null.rawValue, STDERR_FILENO, STDERR_FILENO, number]
    )
  }

  /// A variable of our own environment, for the process's.
  private static func variable(_ name: String) -> String? {
    // SAFETY: nobody changes the environment of this process.
    unsafe getenv(name).map { unsafe "\(name)=\(String(cString: $0))" }
  }

  /// Waits until the remote is gone, has failed, or is not needed any more.
  private static func watch(_ shared: Shared, _ child: inout ChildProcess?) {
    let beats = shared.link.remote.generation == .v8
    while shared.link.failure == nil {
      var list = PollList()
      _ = list.add(shared.wake.rawValue, for: .readable)
      // Hang-ups only: answers are for those who asked.
      let socket = list.add(shared.link.socketNumber, for: [])
      let process = child.borrow { $0.pollable }.map { list.add($0, for: .readable) }
      list.wait(timeout: beats ? heartbeat : nil)
      if shared.isStopping.load(ordering: .acquiring) { return }
      shared.wake.drain()
      if let process, list.isReady(process), var ended = child.take() {
        let ending = ended.wait()
        shared.ending.withLock { $0 = ending }
        shared.link.fail(.ended(ending))
      } else if list.isReady(socket) {
        shared.link.fail(reason(shared, &child))
      } else if beats {
        _ = try? shared.link.ask(.ping)
      }
    }
  }

  /// Why the socket was closed: a process closes it a moment before it has ended.
  private static func reason(_ shared: Shared, _ child: inout ChildProcess?) -> MPQEMUError {
    guard let process = child.borrow({ $0.pollable }), wait(process, 500), var ended = child.take()
    else { return .closed }
    let ending = ended.wait()
    shared.ending.withLock { $0 = ending }
    return .ended(ending)
  }

  private static func end(_ shared: Shared, _ child: inout ChildProcess?) {
    guard var process = child.take() else { return }
    // A remote ends when its proxy has gone; one that is stuck does not.
    let isEnding = wait(process.pollable, grace)
    if !isEnding { process.signal(SIGKILL) }
    let ending = process.wait()
    if isEnding { shared.ending.withLock { $0 = ending } }
  }

  private static func wait(_ process: Int32, _ milliseconds: Int32) -> Bool {
    var list = PollList()
    let place = list.add(process, for: .readable)
    list.wait(timeout: milliseconds)
    return list.isReady(place)
  }
}
