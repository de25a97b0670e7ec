/// All that a serial port remembers, to be saved and put back.
public struct SerialState: Equatable, Sendable {
  /// A byte that was received, and the error bits of LSR that came with it.
  public struct Received: Equatable, Sendable {
    /// The byte.
    public var byte: UInt8
    /// Its bits of LSR (PC16550D, 8.4).
    public var errors: UInt8

    /// Pairs a byte with its errors.
    public init(byte: UInt8 = 0, errors: UInt8 = 0) {
      self.byte = byte
      self.errors = errors
    }
  }

  /// IER.
  public var interruptEnable: UInt8 = 0
  /// FCR, without the bits that clear FIFOs.
  public var fifoControl: UInt8 = 0
  /// LCR.
  public var lineControl: UInt8 = 0
  /// MCR.
  public var modemControl: UInt8 = 0
  /// The changes that MSR shows.
  public var modemChanges: UInt8 = 0
  /// SCR.
  public var scratch: UInt8 = 0
  /// The divisor latch.
  public var divisor: UInt16 = 12
  /// Whether LSR shows an overrun.
  public var hasOverrun = false
  /// Whether the transmitter became empty and nobody has been told yet.
  public var hasEmptied = false
  /// Whether received bytes have waited below the trigger level for too long.
  public var hasTimedOut = false
  /// What was received and not read, the oldest first.
  public var received: [Received] = []
  /// What was written and not sent, the oldest first.
  public var transmitted: [UInt8] = []

  /// A port after a master reset.
  public init() {}

  /// The most bytes that a FIFO holds.
  public static var depth: Int { SerialFIFO.depth }
}

extension UART {
  var state: SerialState {
    var state = SerialState()
    state.interruptEnable = interruptEnable.rawValue
    state.fifoControl = fifoControl.rawValue
    state.lineControl = lineControl
    state.modemControl = modemControl.rawValue
    state.modemChanges = modemChanges.rawValue
    state.scratch = scratch
    state.divisor = divisor
    state.hasOverrun = hasOverrun
    state.hasEmptied = hasEmptied
    state.hasTimedOut = hasTimedOut
    var rest = receiver
    while let entry = rest.removeFirst() {
      state.received.append(.init(byte: entry.byte, errors: entry.errors.rawValue))
    }
    rest = transmitter
    while let entry = rest.removeFirst() { state.transmitted.append(entry.byte) }
    return state
  }

  /// Takes a state, from whomever it comes: bits that there are not are dropped, and bytes that do not fit.
  mutating func restore(_ state: SerialState) {
    reset()
    interruptEnable = InterruptEnable(rawValue: state.interruptEnable).intersection(.all)
    fifoControl = FIFOControl(rawValue: state.fifoControl)
      .subtracting([.clearReceiver, .clearTransmitter])
    // Without bit 0 the others were never written (PC16550D, 8.5).
    if !fifoControl.contains(.enable) { fifoControl = [] }
    lineControl = state.lineControl
    modemControl = ModemControl(rawValue: state.modemControl).intersection(.all)
    modemChanges = ModemStatus(rawValue: state.modemChanges & 0x0F)
    scratch = state.scratch
    divisor = state.divisor
    hasOverrun = state.hasOverrun
    hasEmptied = state.hasEmptied
    hasTimedOut = state.hasTimedOut
    let capacity = fifoControl.contains(.enable) ? SerialFIFO.depth : 1
    receiver.resize(to: capacity)
    transmitter.resize(to: capacity)
    for entry in state.received.prefix(capacity) {
      receiver.append(
        SerialFIFO.Entry(
          byte: entry.byte,
          errors: LineStatus(rawValue: entry.errors).intersection(.errors)
        )
      )
    }
    for byte in state.transmitted.prefix(capacity) { transmitter.append(.init(byte: byte)) }
    restartsTimeout = true
  }
}
