import DeviceModel
import HostOS
import Interrupts
import Synchronization

/// One message for local APICs in this process: a thread waits for its eventfd and delivers it.
final class PolledMessage: MessageInterrupt {
  let trigger: EventFD
  private let target: any MessageTarget
  private let loop: InterruptEventLoop
  // The token is 0 while it is unplugged. Lock order: a message's before the loop's.
  private let state = Mutex<(token: UInt64, message: InterruptMessage?)>((0, nil))

  init(to target: any MessageTarget, on loop: InterruptEventLoop) throws(SystemError) {
    self.target = target
    self.loop = loop
    trigger = try EventFD()
  }

  deinit {
    let token = state.withLock { $0.token }
    if token != 0 { loop.remove(token) }
  }

  func route(to message: InterruptMessage?) throws {
    try state.withLock { (state) throws(SystemError) in
      state.message = message
      if message == nil, state.token != 0 {
        loop.remove(state.token)
        state.token = 0
      }
      guard message != nil, state.token == 0 else { return }
      let token = loop.makeToken()
      // The loop must not keep the message alive: its end is what takes it off the loop.
      try loop.add(trigger, token: token) { [weak self] in self?.deliver() }
      state.token = token
    }
  }

  private func deliver() {
    // One that was unplugged meanwhile keeps its count for the next route.
    guard let message = state.withLock({ $0.message }), trigger.drain() > 0 else { return }
    target.deliver(message)
  }
}
