/// The registers of a 16550A by their offset, as they are with the divisor latch closed
/// (PC16550D, 8.0 table II).
enum SerialRegister: UInt64 {
  /// Receiver buffer (read) and transmitter holding (write).
  case data
  case interruptEnable
  /// Interrupt identification (read) and FIFO control (write).
  case interruptIdentification
  case lineControl
  case modemControl
  case lineStatus
  case modemStatus
  case scratch
}

/// IER (PC16550D, 8.7).
struct InterruptEnable: OptionSet {
  let rawValue: UInt8
  static var receivedData: Self { Self(rawValue: 1 << 0) }
  static var transmitterEmpty: Self { Self(rawValue: 1 << 1) }
  static var lineStatus: Self { Self(rawValue: 1 << 2) }
  static var modemStatus: Self { Self(rawValue: 1 << 3) }
  static var all: Self { Self(rawValue: 0x0F) }
}

/// The low four bits of IIR (PC16550D, 8.6 table IV), by falling priority.
enum InterruptIdentification: UInt8 {
  case lineStatus = 0x06
  case receivedData = 0x04
  case characterTimeout = 0x0C
  case transmitterEmpty = 0x02
  case modemStatus = 0x00
  case none = 0x01
}

/// FCR (PC16550D, 8.5).
struct FIFOControl: OptionSet {
  let rawValue: UInt8
  static var enable: Self { Self(rawValue: 1 << 0) }
  static var clearReceiver: Self { Self(rawValue: 1 << 1) }
  static var clearTransmitter: Self { Self(rawValue: 1 << 2) }

  /// How many received bytes raise an interrupt.
  var triggerLevel: Int {
    switch rawValue >> 6 {
    case 0: 1
    case 1: 4
    case 2: 8
    default: 14
    }
  }
}

/// MCR (PC16550D, 8.8).
struct ModemControl: OptionSet {
  let rawValue: UInt8
  static var dataTerminalReady: Self { Self(rawValue: 1 << 0) }
  static var requestToSend: Self { Self(rawValue: 1 << 1) }
  static var out1: Self { Self(rawValue: 1 << 2) }
  static var out2: Self { Self(rawValue: 1 << 3) }
  static var loopback: Self { Self(rawValue: 1 << 4) }
  static var all: Self { Self(rawValue: 0x1F) }
}

/// LSR (PC16550D, 8.4).
struct LineStatus: OptionSet {
  let rawValue: UInt8
  static var dataReady: Self { Self(rawValue: 1 << 0) }
  static var overrun: Self { Self(rawValue: 1 << 1) }
  static var breakReceived: Self { Self(rawValue: 1 << 4) }
  static var transmitterHoldingEmpty: Self { Self(rawValue: 1 << 5) }
  static var transmitterEmpty: Self { Self(rawValue: 1 << 6) }
  static var errorInFIFO: Self { Self(rawValue: 1 << 7) }
  /// The bits that raise the line status interrupt.
  static var errors: Self { Self(rawValue: 0x1E) }
}

/// MSR (PC16550D, 8.9): the inputs in the high half, their changes in the low half.
struct ModemStatus: OptionSet {
  let rawValue: UInt8
  static var clearToSend: Self { Self(rawValue: 1 << 4) }
  static var dataSetReady: Self { Self(rawValue: 1 << 5) }
  static var ringIndicator: Self { Self(rawValue: 1 << 6) }
  static var carrierDetect: Self { Self(rawValue: 1 << 7) }
  /// The change of the ring indicator counts only when it ends.
  static var ringEnded: Self { Self(rawValue: 1 << 2) }

  /// The change bits for inputs that go from `before` to this.
  func changes(from before: Self) -> Self {
    var changed = Self(rawValue: symmetricDifference(before).rawValue >> 4)
    if contains(.ringIndicator) { changed.remove(.ringEnded) }
    return changed
  }
}
