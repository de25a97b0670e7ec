import GuestMemory
import HostOS
import Synchronization

/// The inside of a ``QueueWorker``: everything here happens on its thread.
final class QueueLoop {
  private enum Phase {
    case ready
    case waitingForKick
    case blocked(on: Int32)
    case ended
  }

  private final class Slot {
    var queue: Virtqueue
    let kick: EventFD
    var phase = Phase.ready

    init(_ configuration: VirtqueueConfiguration, in memory: GuestMemory) throws(VirtqueueError) {
      queue = try Virtqueue(configuration, in: memory)
      kick = configuration.kick
    }
  }

  // Tokens of the poller: 0 to stop, 1 + 2n for the kick of queue n, 2 + 2n for what it waits for.
  private static var stopToken: UInt64 { 0 }

  private let slots: [Slot]
  private let signals: VirtioSignals
  private let shared: QueueWorker.Shared
  private let service: any QueueService
  private let poller: Poller

  init(
    _ queues: [VirtqueueConfiguration],
    in memory: GuestMemory,
    _ signals: VirtioSignals,
    _ shared: QueueWorker.Shared,
    _ service: any QueueService
  ) throws {
    self.signals = signals
    self.shared = shared
    self.service = service
    poller = try Poller()
    slots = try queues.map { try Slot($0, in: memory) }
    try poller.add(shared.wake.rawValue, token: Self.stopToken)
    for (number, slot) in slots.enumerated() {
      try poller.add(slot.kick.rawValue, token: UInt64(1 + 2 * number))
    }
  }

  /// Serves until the order to stop, or the first error of the driver.
  func run() {
    do {
      // Chains may have been made available before we began: every queue starts ready.
      for slot in slots { slot.queue.disableNotifications() }
      while !shared.isStopping.load(ordering: .acquiring) {
        var isReady = false
        for (number, slot) in slots.enumerated() {
          guard case .ready = slot.phase else { continue }
          try step(slot, number)
          if case .ready = slot.phase { isReady = true }
        }
        // With a single queue that is still busy there is nothing else to look for.
        if !isReady || slots.count > 1 { try wait(timeout: isReady ? 0 : nil) }
      }
      for slot in slots {
        service.finish(&slot.queue)
        deliver(slot)
      }
    } catch {
      signals.needsReset("\(error)")
    }
    let states = slots.map { $0.queue.state }
    shared.states.withLock { $0 = states }
  }

  /// Serves a piece of one queue.
  private func step(_ slot: Slot, _ number: Int) throws {
    let outcome: QueueOutcome
    do throws(VirtqueueError) {
      outcome = try service.serve(&slot.queue)
    } catch {
      deliver(slot)
      throw QueueFault(index: slot.queue.index, error: error)
    }
    deliver(slot)
    switch outcome {
    case .busy:
      break
    case .drained:
      if slot.queue.enableNotifications() {
        slot.queue.disableNotifications()
      } else {
        slot.phase = .waitingForKick
      }
    case .blocked(let descriptor, let interest):
      try poller.add(descriptor, interest, token: UInt64(2 + 2 * number))
      slot.phase = .blocked(on: descriptor)
    case .ended:
      slot.phase = .ended
    }
  }

  /// Shows the driver what was completed, and interrupts it if it asked for that.
  private func deliver(_ slot: Slot) {
    slot.queue.publish()
    if slot.queue.needsInterrupt() { signals.signalQueue(slot.queue.index) }
  }

  private func wait(timeout: Int32?) throws(SystemError) {
    var unblocked: [Int32] = []
    try poller.wait(timeout: timeout) { event in
      guard event.token != Self.stopToken else { return }
      let slot = slots[Int(event.token - 1) / 2]
      if event.token % 2 == 1 {
        slot.kick.drain()
        guard case .waitingForKick = slot.phase else { return }
        slot.queue.disableNotifications()
      } else {
        guard case .blocked(let descriptor) = slot.phase else { return }
        unblocked.append(descriptor)
      }
      slot.phase = .ready
    }
    for descriptor in unblocked { try poller.remove(descriptor) }
  }
}

/// A driver's error with the queue that it was made on.
struct QueueFault: Error, CustomStringConvertible {
  let index: Int
  let error: VirtqueueError

  var description: String { "queue \(index): \(error)" }
}
