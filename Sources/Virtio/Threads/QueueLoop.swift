import CLinux
import HostOS

/// The inside of a ``QueueThread``: everything here happens on it.
final class QueueLoop {
  /// The token of the mailbox; no assignment has this number.
  static var wakeToken: UInt64 { .max }
  // While queues are busy, the kernel is asked for other events once in so many turns.
  private static var turns: Int { 8 }
  // While it polls, the clock is read once in so many looks.
  private static var looks: Int { 16 }

  private let mailbox: QueueMailbox
  private let poller: Poller
  private var window: PollingWindow
  private var works: [(number: UInt32, work: QueueWork)] = []
  private var lastNumber: UInt32 = 0
  private var isEnded = false

  init(_ mailbox: QueueMailbox, _ poller: consuming Poller, _ polling: QueuePolling) {
    self.mailbox = mailbox
    self.poller = poller
    window = PollingWindow(polling)
  }

  /// Serves until the request to end.
  func run() {
    var turn = 0
    while true {
      // Whatever goes on, others get in: what waits for descriptors that nobody looks at otherwise.
      turn &+= 1
      if turn % Self.turns == 0 { wait(timeout: 0) }
      // After every wait, which silences the bell.
      if mailbox.hasPost {
        for request in mailbox.take() { perform(request) }
        if isEnded { return }
      }
      serve()
      if works.contains(where: { $0.work.isReady }) {
        // Others must get in beside a queue that is never empty.
        for (_, work) in works { work.look(poller) }
        continue
      }
      if poll() { continue }
      for (_, work) in works { work.arm() }
      guard !works.contains(where: { $0.work.isReady }) else { continue }
      let start = window.limit > 0 ? MonotonicClock.nanoseconds : 0
      wait(timeout: nil)
      if window.limit > 0 { window.slept(MonotonicClock.nanoseconds &- start) }
    }
  }

  /// Serves a piece of every queue that is ready; a device whose driver or host fails is left alone
  /// from then on.
  private func serve() {
    var failed: [QueueWork] = []
    for (_, work) in works {
      do {
        try work.step(poller)
      } catch {
        work.assignment.signals.needsReset("\(error)")
        failed.append(work)
      }
    }
    for work in failed { drop(work) }
  }

  /// Looks for work without the kernel, for as long as the window says.
  ///
  /// - Returns: Whether there is something to do.
  private func poll() -> Bool {
    guard window.current > 0 else { return false }
    let end = MonotonicClock.nanoseconds &+ window.current
    repeat {
      for _ in 0..<Self.looks {
        if mailbox.hasPost { return true }
        for (_, work) in works { work.look(poller) }
        if works.contains(where: { $0.work.isReady }) { return true }
        apus_relax()
      }
    } while MonotonicClock.nanoseconds < end
    return false
  }

  /// Waits for events, or only takes those that are there.
  private func wait(timeout: Int32?) {
    do throws(SystemError) {
      try poller.wait(timeout: timeout) { event in
        guard event.token != Self.wakeToken else {
          // Whoever posts rings after that: post is never missed, and a bell that rings late is silenced.
          mailbox.wake.drain()
          return
        }
        guard let token = QueueToken(rawValue: event.token),
          let entry = works.first(where: { $0.number == token.work })
        else { return }
        entry.work.receive(token, poller)
      }
    } catch {
      // Without its epoll the thread is of no use, but whoever waits for an answer must get it.
      for (_, work) in works { work.assignment.signals.needsReset("\(error)") }
      for (_, work) in works { drop(work) }
      mailbox.wake.wait()
      mailbox.wake.drain()
    }
  }

  private func perform(_ request: QueueMailbox.Request) {
    switch request {
    case .attach(let assignment): attach(assignment)
    case .detach(let assignment):
      if let work = find(assignment) { drop(work) }
      assignment.reply()
    case .stopQueue(let index, let assignment):
      find(assignment)?.stop(index, poller)
      assignment.reply()
    case .startQueue(let queue, let assignment):
      start(queue, assignment)
      assignment.reply()
    case .end:
      for (_, work) in works { drop(work) }
      isEnded = true
    }
  }

  private func attach(_ assignment: QueueAssignment) {
    repeat {
      lastNumber &+= 1
    } while lastNumber == .max
      || works.contains { $0.number == lastNumber }
    do {
      works.append((lastNumber, try QueueWork(assignment, number: lastNumber, poller)))
    } catch {
      assignment.signals.needsReset("\(error)")
    }
  }

  private func start(_ queue: VirtqueueConfiguration, _ assignment: QueueAssignment) {
    guard let work = find(assignment) else { return }
    do {
      try work.start(queue, poller)
    } catch {
      assignment.signals.needsReset("\(error)")
      drop(work)
    }
  }

  private func drop(_ work: QueueWork) {
    work.end(poller)
    works.removeAll { $0.work === work }
  }

  private func find(_ assignment: QueueAssignment) -> QueueWork? {
    works.first { $0.work.assignment === assignment }?.work
  }
}
