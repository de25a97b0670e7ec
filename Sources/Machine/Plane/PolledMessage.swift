import DeviceModel
import HostOS
import Interrupts
import Synchronization

/// One message for local APICs in this process: a thread waits for its eventfd and raises its GSI, whose route
/// is the message.
final class PolledMessage: MessageInterrupt {
  let trigger: EventFD
  private let router: InterruptRouter
  private let source: InterruptSource
  private let loop: InterruptEventLoop
  private let release: @Sendable () -> Void
  // What the loop knows it by; 0 while it is unplugged. Lock order: a message's before the router's and the loop's.
  private let token = Mutex<UInt64>(0)

  /// Makes a message of `gsi`, which nobody else uses until `release` is called.
  init(
    _ gsi: GSI,
    _ router: InterruptRouter,
    on loop: InterruptEventLoop,
    whenReleased release: @escaping @Sendable () -> Void
  ) throws {
    self.router = router
    self.loop = loop
    self.release = release
    source = try router.makeSource(of: gsi)
    trigger = try EventFD()
  }

  deinit {
    let token = token.withLock { $0 }
    if token != 0 { loop.remove(token) }
    try? router.setRoutes(of: source.gsi, [])
    release()
  }

  func route(to message: InterruptMessage?) throws {
    try token.withLock { token in
      guard let message else {
        if token != 0 { loop.remove(token) }
        token = 0
        return
      }
      try router.setRoutes(of: source.gsi, [.message(message)])
      guard token == 0 else { return }
      let new = loop.makeToken()
      // The loop must not keep the message alive: its end is what takes it off the loop.
      try loop.add(trigger, token: new) { [weak self] in self?.deliver() }
      token = new
    }
  }

  private func deliver() {
    // With the lock held: once a vector is masked, nothing of it comes any more. One that was unplugged
    // meanwhile keeps its count for the next route.
    token.withLock { token in
      guard token != 0, trigger.drain() > 0 else { return }
      source.assert()
      source.deassert()
    }
  }
}
