public import HostOS
import Synchronization

/// One thread with one epoll, which serves queues of any number of devices.
///
/// It waits for kicks, for host work that ends, for what a service waits for, and for requests of
/// other threads, all at once. Between two looks at those requests there is never more than a bounded
/// piece of work, whatever a driver does. A queue belongs to one thread as long as it is served, so
/// nothing on the way of a request takes a lock.
///
/// Any thread may let go of it but its own; that waits until the thread has ended, which finishes
/// what is still attached.
public final class QueueThread: Sendable {
  let mailbox: QueueMailbox
  private let thread: Mutex<Thread?>

  /// Starts a thread that has nothing to do yet.
  ///
  /// - Parameters:
  ///   - name: The thread's name.
  ///   - polling: How long it looks at its queues itself before it sleeps.
  /// - Throws: `SystemError` if the host has no room for another thread or descriptor.
  public init(_ name: String, polling: QueuePolling = .off) throws(SystemError) {
    let mailbox = try QueueMailbox()
    let poller = try Poller()
    try poller.add(mailbox.wake.rawValue, token: QueueLoop.wakeToken)
    self.mailbox = mailbox
    let start = Mutex<Poller?>(poller)
    thread = Mutex(
      try Thread(name) {
        guard let poller = start.withLock({ $0.take() }) else { return }
        QueueLoop(mailbox, poller, polling).run()
      }
    )
  }

  deinit {
    mailbox.post(.end)
    thread.withLock { $0.take() }?.join()
  }
}
