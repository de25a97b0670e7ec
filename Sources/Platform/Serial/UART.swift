/// The registers of a 16550A and what accesses do to them, with no ties to the outside
/// (National Semiconductor PC16550D datasheet, cited below by section).
///
/// ``Serial16550`` guards it and carries its effects out: it drains ``transmitter``, drives the
/// line by ``isInterrupting``, and runs the receive timeout.
struct UART {
  var interruptEnable: InterruptEnable = []
  var fifoControl: FIFOControl = []
  var modemControl: ModemControl = []
  var lineControl: UInt8 = 0
  var scratch: UInt8 = 0
  // 9600 baud, where PC firmware leaves it.
  var divisor: UInt16 = 12
  var modemChanges: ModemStatus = []
  var hasOverrun = false
  /// The transmitter became empty, and nobody has been told yet.
  var hasEmptied = false

  var receiver = SerialFIFO()
  var transmitter = SerialFIFO()
  /// Bytes have waited below the trigger level for four character times (8.11).
  var hasTimedOut = false
  /// The time until the timeout starts anew: a byte came or went, or the interrupt was enabled.
  var restartsTimeout = false
  /// The level that the interrupt line was last set to.
  var lineLevel = false
  /// When the running timeout ends.
  var timeoutDeadline = UInt64.max
  /// Whoever feeds the receiver was turned away and waits for room.
  var hasRefused = false

  /// What the modem lines show: a peer that is always there and ready.
  private var modemInputs: ModemStatus {
    guard modemControl.contains(.loopback) else {
      return [.clearToSend, .dataSetReady, .carrierDetect]
    }
    // 8.8: in loopback the four outputs are connected to the four inputs.
    var inputs: ModemStatus = []
    if modemControl.contains(.requestToSend) { inputs.insert(.clearToSend) }
    if modemControl.contains(.dataTerminalReady) { inputs.insert(.dataSetReady) }
    if modemControl.contains(.out1) { inputs.insert(.ringIndicator) }
    if modemControl.contains(.out2) { inputs.insert(.carrierDetect) }
    return inputs
  }

  private var isDivisorLatchOpen: Bool { lineControl & 0x80 != 0 }
  var isLoopback: Bool { modemControl.contains(.loopback) }
  private var hasFIFOs: Bool { fifoControl.contains(.enable) }

  // MARK: Interrupts

  /// Whether received data alone raises an interrupt.
  private var hasReachedTrigger: Bool {
    receiver.count >= (hasFIFOs ? fifoControl.triggerLevel : 1)
  }

  /// The pending interrupt of the highest priority among those enabled (8.6).
  private var identification: InterruptIdentification {
    if interruptEnable.contains(.lineStatus), !lineStatus.isDisjoint(with: .errors) {
      return .lineStatus
    }
    if interruptEnable.contains(.receivedData) {
      if hasReachedTrigger { return .receivedData }
      if hasTimedOut { return .characterTimeout }
    }
    if interruptEnable.contains(.transmitterEmpty), hasEmptied { return .transmitterEmpty }
    if interruptEnable.contains(.modemStatus), !modemChanges.isEmpty { return .modemStatus }
    return .none
  }

  var isInterrupting: Bool { identification != .none }

  /// Whether received bytes wait for the timeout to be noticed.
  var awaitsTimeout: Bool {
    hasFIFOs && !receiver.isEmpty && !hasReachedTrigger && !hasTimedOut
      && interruptEnable.contains(.receivedData)
  }

  /// Four character times in nanoseconds (8.11), by divisor and frame.
  var timeout: UInt64 {
    // The clock of 1.8432 MHz gives 115200 baud at divisor 1 (8.3 table III).
    let bit = 1_000_000_000 * UInt64(max(divisor, 1)) / 115_200
    let data = 5 + UInt64(lineControl & 0x03)
    let stop: UInt64 = lineControl & 0x04 != 0 ? 2 : 1
    let parity: UInt64 = lineControl & 0x08 != 0 ? 1 : 0
    return 4 * bit * (1 + data + parity + stop)
  }

  /// Notes that the timeout has passed.
  mutating func expireTimeout() { hasTimedOut = true }

  // MARK: The wire

  /// Whether a byte from outside can be taken.
  var canReceive: Bool { !isLoopback && receiver.hasRoom }

  /// Whether a feeder that was turned away should come back: with half of the FIFO free, so that
  /// it does not come for each byte.
  var wantsFeeding: Bool {
    hasRefused && canReceive && receiver.count <= receiver.capacity / 2
  }

  /// Takes a byte off the wire; without room it is lost, and the overrun shows (8.4).
  mutating func receive(_ entry: SerialFIFO.Entry) {
    restartsTimeout = true
    if receiver.hasRoom {
      receiver.append(entry)
    } else {
      hasOverrun = true
    }
  }

  /// Takes the byte that has been sent from the transmitter.
  mutating func transmitted() {
    _ = transmitter.removeFirst()
    if transmitter.isEmpty { hasEmptied = true }
  }

  // MARK: Registers

  private var lineStatus: LineStatus {
    var status = receiver.first?.errors ?? []
    if !receiver.isEmpty { status.insert(.dataReady) }
    if hasOverrun { status.insert(.overrun) }
    if hasFIFOs, receiver.hasErrors { status.insert(.errorInFIFO) }
    // The wire takes no time: the shift register is empty whenever the FIFO is.
    if transmitter.isEmpty { status.formUnion([.transmitterHoldingEmpty, .transmitterEmpty]) }
    return status
  }

  mutating func read(_ register: SerialRegister) -> UInt8 {
    switch register {
    case .data:
      guard !isDivisorLatchOpen else { return UInt8(truncatingIfNeeded: divisor) }
      hasTimedOut = false
      restartsTimeout = true
      return receiver.removeFirst()?.byte ?? 0
    case .interruptEnable:
      guard !isDivisorLatchOpen else { return UInt8(truncatingIfNeeded: divisor >> 8) }
      return interruptEnable.rawValue
    case .interruptIdentification:
      let identification = identification
      // 8.6 table IV: reading IIR resets this interrupt if it is the one shown.
      if identification == .transmitterEmpty { hasEmptied = false }
      return identification.rawValue | (hasFIFOs ? 0xC0 : 0)
    case .lineControl: return lineControl
    case .modemControl: return modemControl.rawValue
    case .lineStatus:
      let status = lineStatus
      // 8.4: the error bits are reset when the CPU has read them.
      hasOverrun = false
      receiver.clearFirstErrors()
      return status.rawValue
    case .modemStatus:
      let status = modemInputs.union(modemChanges)
      modemChanges = []
      return status.rawValue
    case .scratch: return scratch
    }
  }

  mutating func write(_ value: UInt8, _ register: SerialRegister) {
    switch register {
    case .data:
      if isDivisorLatchOpen {
        divisor = divisor & 0xFF00 | UInt16(value)
      } else {
        hasEmptied = false
        // What a guest writes without looking at LSR is lost, as on the real part.
        if transmitter.hasRoom { transmitter.append(.init(byte: value)) }
      }
    case .interruptEnable:
      if isDivisorLatchOpen {
        divisor = divisor & 0x00FF | UInt16(value) << 8
      } else {
        enableInterrupts(InterruptEnable(rawValue: value).intersection(.all))
      }
    case .interruptIdentification: controlFIFOs(FIFOControl(rawValue: value))
    case .lineControl: lineControl = value
    case .modemControl:
      let before = modemInputs
      modemControl = ModemControl(rawValue: value).intersection(.all)
      modemChanges.formUnion(modemInputs.changes(from: before))
    case .lineStatus, .modemStatus: break  // read-only (8.4, 8.9)
    case .scratch: scratch = value
    }
  }

  private mutating func enableInterrupts(_ enabled: InterruptEnable) {
    // Enabling the interrupt with an empty transmitter raises it: drivers start sending this way.
    if enabled.contains(.transmitterEmpty), !interruptEnable.contains(.transmitterEmpty),
      transmitter.isEmpty
    {
      hasEmptied = true
    }
    interruptEnable = enabled
    restartsTimeout = true
  }

  private mutating func controlFIFOs(_ control: FIFOControl) {
    // 8.5: bit 0 must be set for the other bits to be written; a change of it clears both FIFOs.
    guard control.contains(.enable) else {
      if hasFIFOs { resizeFIFOs(to: 1) }
      fifoControl = []
      return
    }
    if !hasFIFOs { resizeFIFOs(to: SerialFIFO.depth) }
    if control.contains(.clearReceiver) { clearReceiver() }
    if control.contains(.clearTransmitter) { clearTransmitter() }
    fifoControl = control.subtracting([.clearReceiver, .clearTransmitter])
    restartsTimeout = true
  }

  private mutating func resizeFIFOs(to capacity: Int) {
    clearReceiver()
    clearTransmitter()
    receiver.resize(to: capacity)
    transmitter.resize(to: capacity)
  }

  private mutating func clearReceiver() {
    receiver.clear()
    hasTimedOut = false
    restartsTimeout = true
  }

  private mutating func clearTransmitter() {
    guard !transmitter.isEmpty else { return }
    transmitter.clear()
    hasEmptied = true
  }

  /// Puts every register to its value after a master reset (8.1 table I).
  mutating func reset() {
    var fresh = Self()
    fresh.lineLevel = lineLevel
    fresh.timeoutDeadline = timeoutDeadline
    fresh.hasRefused = hasRefused
    fresh.restartsTimeout = true
    self = fresh
  }
}
