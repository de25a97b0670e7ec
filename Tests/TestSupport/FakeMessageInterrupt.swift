public import DeviceModel
public import HostOS
import Synchronization

/// A message-signalled interrupt that a test can look into.
///
/// It keeps the rules of an irqfd: a signal is delivered if a route exists, however late it is
/// noticed; without a route it waits in the eventfd, and a new route delivers what it finds there.
/// Signals that come between two looks count as one delivery.
public final class FakeMessageInterrupt: MessageInterrupt {
  private struct State {
    var message: InterruptMessage?
    var deliveries: [InterruptMessage] = []
    var failure: SystemError?
  }

  /// What the device signals.
  public let trigger: EventFD
  private let state = Mutex(State())

  /// Makes an interrupt with no route.
  public init() throws { trigger = try EventFD() }

  /// What is delivered now, or `nil` while unplugged.
  public var message: InterruptMessage? { state.withLock { $0.message } }

  /// The messages that reached the guest, in order.
  public var deliveries: [InterruptMessage] {
    state.withLock { state in
      deliver(&state)
      return state.deliveries
    }
  }

  /// Makes the following calls of ``route(to:)`` fail with `failure`; `nil` ends that.
  public func failToRoute(with failure: SystemError?) {
    state.withLock { $0.failure = failure }
  }

  /// Changes what is delivered, after delivering what came before.
  public func route(to message: InterruptMessage?) throws {
    try state.withLock { state in
      if let failure = state.failure { throw failure }
      deliver(&state)
      state.message = message
      deliver(&state)
    }
  }

  private func deliver(_ state: inout State) {
    guard let message = state.message, trigger.drain() > 0 else { return }
    state.deliveries.append(message)
  }
}
