import CLinux
import Glibc

/// The process outside: it waits for the one inside, passes clients and signals on to it, and ends as it did.
///
/// When it is killed, the kernel kills the other.
public struct SandboxMonitor: ~Copyable {
  private let device: String
  private let process: Int32
  private let handle: OwnedFileDescriptor
  // Kept open: the process inside looks whether it still is.
  private var requests: SocketRequests
  private let listeners: ListenerHandover

  init(
    _ process: Int32,
    _ connection: consuming OwnedFileDescriptor,
    _ listeners: ListenerHandover,
    _ plan: SandboxPlan
  ) throws(SystemError) {
    self.process = process
    requests = SocketRequests(connection, plan.reachableSockets)
    self.listeners = listeners
    device = plan.device
    handle = OwnedFileDescriptor(
      adopting: try retrying("pidfd_open", "\(process)") { apus_pidfd_open(process) }
    )
  }

  /// Waits for the end of the process inside, and ends this one likewise: with its exit code, or of its signal.
  ///
  /// Lets go of every descriptor but those that it needs: peers must see when the other closes theirs.
  ///
  /// - Parameter queues: The signals that are passed on.
  public consuming func run(forwarding queues: [SignalQueue]) -> Never {
    let kept =
      queues.map(\.rawValue) + [handle.rawValue] + [requests.number].compactMap { $0 }
      + listeners.kept
    InheritedDescriptors.close(allBut: kept + [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO])
    ProgramImage.releaseStartupPages()
    while true {
      var list = PollList()
      let ending = list.add(handle.rawValue, for: .readable)
      for queue in queues { _ = list.add(queue.rawValue, for: .readable) }
      listeners.add(to: &list)
      let asking = requests.number.map { list.add($0, for: .readable) }
      list.wait()
      for queue in queues {
        while let signal = queue.next() { _ = kill(process, signal) }
      }
      if list.isReady(ending) { break }
      listeners.advance(list)
      if let asking, list.isReady(asking) { requests.advance() }
    }
    var status: Int32 = 0
    let process = process
    _ = try? retrying("waitpid") { unsafe waitpid(process, &status, 0) }
    listeners.removeFiles()
    if apus_wifexited(status) != 0 { exit(apus_wexitstatus(status)) }
    end(of: apus_wtermsig(status))
  }

  /// Ends this process of a signal, after one line about it.
  private borrowing func end(of number: Int32) -> Never {
    // SAFETY: strsignal always returns a NUL-terminated string, which this thread alone uses.
    let name = unsafe strsignal(number).map { unsafe String(cString: $0) } ?? ""
    let line = "apus: error: \(device): its process was ended by signal \(number) (\(name))\n"
    try? FileIO.writeAll(STDERR_FILENO, Array(line.utf8))
    _ = apus_limit(apus_limit_number(APUS_LIMIT_CORE), 0)
    _ = signal(number, SIG_DFL)
    Signals.unblock([number])
    _ = kill(getpid(), number)
    exit(128 + number)
  }
}
