import GuestMemory
import HostOS

/// One queue that a thread serves, and what it waits for.
final class QueueSlot {
  enum Phase {
    /// It is to be served.
    case ready
    /// It had no chain when it was served last; kicks are off.
    case drained
    /// It had none, and the driver knows that it has to kick.
    case waitingForKick
    /// The service has something under way that must end first.
    case waitingForCompletion
    /// The service waits for the descriptor with this number.
    case blocked(on: Int32)
    /// Nobody serves it.
    case ended
  }

  var queue: Virtqueue
  var phase = Phase.ready
  let kick: EventFD

  init(_ configuration: VirtqueueConfiguration, in memory: GuestMemory) throws(VirtqueueError) {
    queue = try Virtqueue(configuration, in: memory)
    kick = configuration.kick
  }

  var isReady: Bool {
    if case .ready = phase { true } else { false }
  }

  /// Shows the driver what was completed, and interrupts it if it asked for that.
  func deliver(_ signals: VirtioSignals) {
    queue.publish()
    if queue.needsInterrupt() { signals.signalQueue(queue.index) }
  }

  /// Makes a queue ready that has got chains which no kick told of.
  func look() {
    switch phase {
    case .drained where queue.hasChains: phase = .ready
    case .waitingForKick where queue.hasChains:
      queue.disableNotifications()
      phase = .ready
    default: break
    }
  }

  /// Asks for kicks where there is nothing to do; a queue that got chains meanwhile is ready.
  func arm() {
    guard case .drained = phase else { return }
    if queue.enableNotifications() {
      queue.disableNotifications()
      phase = .ready
    } else {
      phase = .waitingForKick
    }
  }
}
