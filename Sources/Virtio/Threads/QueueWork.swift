import GuestMemory
import HostOS

/// An assignment on its thread: the service, and the queues by number.
///
/// Everything here happens on that thread.
final class QueueWork {
  let assignment: QueueAssignment
  private let number: UInt32
  private let service: any QueueService
  private var slots: [QueueSlot?] = []
  private let completions: Int32?
  private var isWatching = false

  /// Takes up the queues; chains may have been made available before, so each starts ready.
  ///
  /// - Throws: ``QueueFault``, or `SystemError`; then nothing is left in `poller`.
  init(_ assignment: QueueAssignment, number: UInt32, _ poller: borrowing Poller) throws {
    self.assignment = assignment
    self.number = number
    service = assignment.makeService()
    completions = service.completions
    do {
      for queue in assignment.queues { try start(queue, poller) }
    } catch {
      end(poller)
      throw error
    }
  }

  /// Whether any queue is to be served.
  var isReady: Bool { slots.contains { $0?.isReady == true } }

  /// Serves a piece of each queue that is ready.
  func step(_ poller: borrowing Poller) throws {
    for index in slots.indices {
      guard let slot = slots[index], slot.isReady else { continue }
      try step(slot, index, poller)
    }
  }

  /// Makes queues ready that have got chains, or completions, of which no event told yet.
  func look(_ poller: borrowing Poller) {
    if completions != nil, service.hasCompletions { resume(poller) }
    for slot in slots { slot?.look() }
  }

  /// Asks for kicks where there is nothing to do.
  func arm() {
    for slot in slots { slot?.arm() }
  }

  /// What an epoll event means for a queue.
  func receive(_ token: QueueToken, _ poller: borrowing Poller) {
    if token.source == .completions {
      resume(poller)
      return
    }
    guard slots.indices.contains(token.slot), let slot = slots[token.slot] else { return }
    switch (token.source, slot.phase) {
    case (.kick, .waitingForKick):
      slot.kick.drain()
      slot.queue.disableNotifications()
      slot.phase = .ready
    case (.kick, .drained):
      slot.kick.drain()
      slot.phase = .ready
    case (.kick, _):
      // It is looked at before it sleeps again.
      slot.kick.drain()
    case (.blocked, .blocked(let descriptor)):
      try? poller.remove(descriptor)
      slot.phase = .ready
    default: break
    }
  }

  /// Takes up a queue, at a number of its own.
  func start(_ configuration: VirtqueueConfiguration, _ poller: borrowing Poller) throws {
    guard find(configuration.index) == nil else { return }
    let slot: QueueSlot
    do throws(VirtqueueError) {
      slot = try QueueSlot(configuration, in: assignment.memory)
    } catch {
      throw QueueFault(index: configuration.index, error: error)
    }
    let index = slots.firstIndex { $0 == nil } ?? slots.count
    // Edges: a descriptor of the other side's making may be one that no read ever empties. What was
    // signalled before is an edge, too (epoll(7)).
    try poller.add(
      slot.kick.rawValue,
      [.readable, .edges],
      token: QueueToken(work: number, slot: index, .kick).rawValue
    )
    slot.queue.disableNotifications()
    if index == slots.count { slots.append(slot) } else { slots[index] = slot }
    try watchCompletions(poller)
  }

  /// Ends what is under way on queue `index`, and serves it no more.
  func stop(_ index: Int, _ poller: borrowing Poller) {
    guard let number = find(index), let slot = slots[number] else { return }
    try? poller.remove(slot.kick.rawValue)
    if case .blocked(let descriptor) = slot.phase { try? poller.remove(descriptor) }
    takeUnfinished(slot)
    service.finish(&slot.queue)
    slot.deliver(assignment.signals)
    assignment.note(slot.queue.state, of: index)
    assignment.signals.noteState(slot.queue.state, of: index)
    slots[number] = nil
    try? watchCompletions(poller)
  }

  /// Ends what is under way on all queues, and serves none any more.
  func end(_ poller: borrowing Poller) {
    for slot in slots {
      guard let slot else { continue }
      stop(slot.queue.index, poller)
    }
  }

  /// Begins what another device had taken when it died, so that the state that is left behind has none
  /// of it.
  private func takeUnfinished(_ slot: QueueSlot) {
    for _ in 0...slot.queue.size {
      guard slot.queue.hasUnfinished, let outcome = try? service.serve(&slot.queue) else { return }
      slot.deliver(assignment.signals)
      // With no room for more, or a limit that holds it up, what is under way ends first.
      switch outcome {
      case .busy, .drained: break
      case .waiting, .blocked, .ended: service.finish(&slot.queue)
      }
    }
  }

  /// Waits for completions as long as there is a queue that could be served for them.
  ///
  /// One that stays ready, with nobody to ask what has ended, would keep the thread from sleeping.
  private func watchCompletions(_ poller: borrowing Poller) throws(SystemError) {
    guard let completions else { return }
    let isWanted = slots.contains { slot in
      guard let slot else { return false }
      if case .ended = slot.phase { return false }
      return true
    }
    guard isWanted != isWatching else { return }
    if isWanted {
      try poller.add(completions, token: QueueToken(work: number, .completions).rawValue)
    } else {
      try poller.remove(completions)
    }
    isWatching = isWanted
  }

  /// Serves a piece of one queue.
  private func step(_ slot: QueueSlot, _ index: Int, _ poller: borrowing Poller) throws {
    let outcome: QueueOutcome
    do throws(VirtqueueError) {
      outcome = try service.serve(&slot.queue)
    } catch {
      slot.deliver(assignment.signals)
      throw QueueFault(index: slot.queue.index, error: error)
    }
    slot.deliver(assignment.signals)
    switch outcome {
    case .busy: break
    case .drained: slot.phase = .drained
    case .waiting: slot.phase = .waitingForCompletion
    case .blocked(let descriptor, let interest):
      let token = QueueToken(work: number, slot: index, .blocked)
      try poller.add(descriptor, interest, token: token.rawValue)
      slot.phase = .blocked(on: descriptor)
    case .ended:
      slot.phase = .ended
      try watchCompletions(poller)
    }
  }

  /// Has the service look at what has ended.
  private func resume(_ poller: borrowing Poller) {
    for slot in slots {
      guard let slot else { continue }
      switch slot.phase {
      case .drained, .waitingForCompletion: slot.phase = .ready
      case .waitingForKick:
        slot.queue.disableNotifications()
        slot.phase = .ready
      case .blocked(let descriptor):
        // What has ended is to be completed meanwhile, and would keep the thread from sleeping.
        try? poller.remove(descriptor)
        slot.phase = .ready
      case .ready, .ended: break
      }
    }
  }

  private func find(_ index: Int) -> Int? {
    slots.firstIndex { $0?.queue.index == index }
  }
}

/// A driver's error with the queue that it was made on.
struct QueueFault: Error, CustomStringConvertible {
  let index: Int
  let error: VirtqueueError

  var description: String { "queue \(index): \(error)" }
}
