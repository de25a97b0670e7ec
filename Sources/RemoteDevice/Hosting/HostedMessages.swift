public import DeviceModel
public import HostOS
import Synchronization

/// The message-signalled interrupts of a hosted function, in the order of its vectors.
///
/// Masks and messages are the peer's affair: it hands over an eventfd for each vector that it wants to hear
/// of, and takes it back.
public final class HostedMessages: MessageInterruptAllocator {
  private let all = Mutex<[HostedMessageInterrupt]>([])

  /// Makes a source of any number of interrupts.
  public init() {}

  /// How many vectors there are.
  public var count: Int { all.withLock { $0.count } }

  /// Makes the next vector's interrupt.
  public func makeMessageInterrupt() throws -> any MessageInterrupt {
    let made = try HostedMessageInterrupt()
    all.withLock { $0.append(made) }
    return made
  }

  /// Signals `vector` through `event` from now on; `nil` keeps what comes until there is one again.
  ///
  /// What came meanwhile is signalled at once. There must be such a vector.
  public func setEvent(_ event: EventFD?, of vector: Int) {
    let interrupt = all.withLock { $0[vector] }
    interrupt.setEvent(event)
  }

  /// Signals `vector`, of which there must be one, as the function does.
  public func signal(_ vector: Int) {
    let interrupt = all.withLock { $0[vector] }
    interrupt.signal()
  }

  /// Takes all eventfds away, and forgets what came since.
  public func removeAll() {
    for interrupt in all.withLock({ $0 }) {
      interrupt.setEvent(nil)
      _ = interrupt.takePending()
    }
  }
}

/// One vector: the peer's eventfd, and one of our own for as long as there is none.
final class HostedMessageInterrupt: MessageInterrupt {
  private let own: EventFD
  // Nothing is signalled while it is held: what the peer's eventfd does is not known.
  private let peer = Mutex<EventFD?>(nil)

  init() throws(SystemError) {
    own = try EventFD()
  }

  /// The peer's eventfd, if there is one.
  var trigger: EventFD { peer.withLock { $0 } ?? own }

  /// Signals whichever eventfd there is.
  func signal() {
    send()
    // The peer's may have come since ours was chosen; whoever takes the count passes it on.
    forward()
  }

  func setEvent(_ event: EventFD?) {
    peer.withLock { $0 = event }
    forward()
  }

  /// The peer has the table.
  func route(to message: InterruptMessage?) {}

  /// What came while the peer had given no eventfd; what it was told is its own.
  func takePending() -> Bool { trigger === own && own.drain() > 0 }

  /// What came while the peer had given no eventfd, and waits for one.
  ///
  /// The peer may have the table itself, so that the one here never learns that the vector is unmasked.
  var keepsPending: Bool? {
    guard trigger === own, own.drain() > 0 else { return false }
    own.signal()
    // One that has come meanwhile has found nothing.
    forward()
    return true
  }

  private func forward() {
    if trigger !== own, own.drain() > 0 { send() }
  }

  private func send() {
    var last = trigger
    last.signalPeer()
    // Who has replaced it may not look there any more. Each round takes the peer a message.
    while case let now = trigger, now !== last {
      last = now
      now.signalPeer()
    }
  }
}
