import HostOS
import Logging
import Synchronization
import Virtio

/// Takes a back end's signals that buffers were used, and interrupts the guest.
///
/// One thread waits for all of a device's queues. The eventfds are the device's for its whole life, whichever back end has them.
final class VhostUserCalls: Sendable {
  /// By queue.
  let events: [EventFD]

  // Held while the guest is interrupted, so that nothing does so any more once `end()` has returned.
  private let signals = Mutex<VirtioSignals?>(nil)
  private let isStopping = Atomic(false)
  private let stop: EventFD
  private let poller: Poller

  init(count: Int) throws(SystemError) {
    var events: [EventFD] = []
    for _ in 0..<count { events.append(try EventFD()) }
    self.events = events
    stop = try EventFD()
    // Here, where it can be told that the host has none left: without it no interrupt would ever come.
    poller = try Poller()
    try poller.add(stop.rawValue, token: UInt64(count))
    for (index, event) in events.enumerated() {
      try poller.add(event.rawValue, token: UInt64(index))
    }
  }

  /// Interrupts through `signals` from now on.
  func begin(_ signals: VirtioSignals) {
    for event in events { event.drain() }
    self.signals.withLock { $0 = signals }
  }

  /// Interrupts nobody any more.
  func end() { signals.withLock { $0 = nil } }

  /// Interrupts for all queues: what a back end signals as it dies may have been lost.
  func signalAll() {
    for event in events { event.signal() }
  }

  /// Has ``run(_:)`` return.
  func finish() {
    isStopping.store(true, ordering: .releasing)
    stop.signal()
  }

  /// What the thread does.
  func run() {
    while !isStopping.load(ordering: .acquiring) {
      try? poller.wait { event in
        let index = Int(event.token)
        guard events.indices.contains(index), events[index].drain() > 0 else { return }
        signals.withLock { $0?.signalQueue(index) }
      }
    }
  }
}
