import DeviceModel
import Interrupts
import Synchronization

/// An I/O APIC with all that is around it: levels, processors that write down what they are sent,
/// and devices that hear of ended interrupts.
final class IOAPICBench: Sendable {
  /// Takes messages, and answers as it is told to.
  final class Processors: MessageTarget {
    private struct State {
      var messages: [InterruptMessage] = []
      var outcome = InterruptDelivery.delivered
      var action: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    var outcome: InterruptDelivery {
      get { state.withLock { $0.outcome } }
      set { state.withLock { $0.outcome = newValue } }
    }

    func deliver(_ message: InterruptMessage) -> InterruptDelivery {
      let (action, outcome) = state.withLock { state in
        state.messages.append(message)
        defer { state.action = nil }
        return (state.action, state.outcome)
      }
      action?()
      return outcome
    }

    /// The messages since this was last asked.
    func takeMessages() -> [InterruptMessage] {
      state.withLock { state in
        defer { state.messages = [] }
        return state.messages
      }
    }

    /// Runs `action` in the middle of the next delivery.
    func whenDelivering(_ action: @escaping @Sendable () -> Void) {
      state.withLock { $0.action = action }
    }
  }

  /// Hears of ended interrupts.
  final class Devices: PinAcknowledgement {
    private let state = Mutex<
      (pins: [ControllerPin], action: (@Sendable (ControllerPin) -> Void)?)
    >(
      ([], nil)
    )

    /// The pins that were acknowledged, in order.
    var acknowledged: [ControllerPin] { state.withLock { $0.pins } }

    func whenAcknowledged(_ action: @escaping @Sendable (ControllerPin) -> Void) {
      state.withLock { $0.action = action }
    }

    func acknowledged(_ pin: ControllerPin) {
      let action = state.withLock { state in
        state.pins.append(pin)
        return state.action
      }
      action?(pin)
    }
  }

  let levels = PinLevels()
  let processors = Processors()
  let devices = Devices()
  let chip: IOAPIC

  init(id: UInt8 = 0) {
    chip = IOAPIC(id: id, levels: levels, messages: processors, acknowledgement: devices)
  }

  // MARK: Register bits

  static var masked: UInt64 { 1 << 16 }
  static var level: UInt64 { 1 << 15 }
  static var remoteIRR: UInt64 { 1 << 14 }
  static var activeLow: UInt64 { 1 << 13 }
  static var sendPending: UInt64 { 1 << 12 }
  static var logical: UInt64 { 1 << 11 }

  // MARK: Access

  func read(_ offset: UInt64, width: Int = 4) -> UInt64 {
    chip.read(BusAccess(offset: offset, width: width))
  }

  func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    chip.write(value, BusAccess(offset: offset, width: width))
  }

  /// One of the registers behind the index.
  subscript(register: UInt64) -> UInt64 {
    get {
      write(0x00, register)
      return read(0x10)
    }
    set {
      write(0x00, register)
      write(0x10, newValue)
    }
  }

  func entry(_ pin: Int) -> UInt64 {
    self[UInt64(0x10 + 2 * pin)] | self[UInt64(0x11 + 2 * pin)] << 32
  }

  /// Writes an entry as Linux does: the high half first.
  func setEntry(_ pin: Int, _ value: UInt64) {
    write(0x00, UInt64(0x11 + 2 * pin))
    write(0x10, value >> 32)
    write(0x00, UInt64(0x10 + 2 * pin))
    write(0x10, value & 0xFFFF_FFFF)
  }

  func set(_ pin: Int, _ level: Bool) {
    levels.set(pin, level)
    chip.refresh()
  }

  func pulse(_ pin: Int) {
    set(pin, true)
    set(pin, false)
  }

  /// The vectors of the messages since this or their like was last asked.
  func takeVectors() -> [UInt8] {
    processors.takeMessages().map { UInt8(truncatingIfNeeded: $0.data) }
  }
}

/// A generator whose numbers are the same in every run.
struct SeededNumbers: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
