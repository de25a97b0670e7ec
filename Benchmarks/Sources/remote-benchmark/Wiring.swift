import DeviceModel
import GuestMemory
import HostOS
import Synchronization

/// What a board would have for a function, without a machine: interrupts and doorbells are eventfds that the driver has.
final class Wiring: DoorbellRegistry, MessageInterruptAllocator, Sendable {
  /// An interrupt whose eventfd the driver waits for.
  final class Message: MessageInterrupt {
    let trigger: EventFD
    private let routed = Mutex<InterruptMessage?>(nil)

    init() throws(SystemError) { trigger = try EventFD() }
    func route(to message: InterruptMessage?) throws { routed.withLock { $0 = message } }
    /// What a signal would write.
    var message: InterruptMessage? { routed.withLock { $0 } }
  }

  /// A pin that nobody listens to.
  final class Line: InterruptLine, ResampledLine {
    func assert() {}
    func deassert() {}
    func connect(_ event: EventFD, resample: EventFD) throws {}
    func disconnect() {}
  }

  private struct State {
    var messages: [Message] = []
    var doorbells: [UInt64: EventFD] = [:]
  }

  private let state = Mutex(State())

  func makeMessageInterrupt() throws -> any MessageInterrupt {
    let message = try Message()
    state.withLock { $0.messages.append(message) }
    return message
  }

  func attach(_ doorbell: Doorbell, to event: EventFD) throws {
    state.withLock { $0.doorbells[doorbell.address] = event }
  }

  func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    _ = state.withLock { $0.doorbells.removeValue(forKey: doorbell.address) }
  }

  /// The eventfd that a guest's write to `address` signals.
  func doorbell(at address: UInt64) -> EventFD? { state.withLock { $0.doorbells[address] } }
  /// The eventfd of the interrupt that writes `data`.
  func message(_ data: UInt32) -> EventFD? {
    state.withLock { $0.messages.first { $0.message?.data == data }?.trigger }
  }
}
