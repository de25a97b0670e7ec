public import DeviceModel
import Synchronization

/// The keyboard controller of a PC (an 8042) with nothing plugged in: it resets the machine.
///
/// It claims two ranges of one port each: range 0 is port 0x60 (data), range 1 port 0x64 (status and
/// command); 0x61 between them belongs to the timer. Every command is answered at once, and what is
/// sent to a keyboard or mouse comes back as a time-out, so that a driver that probes gives up
/// without waiting. It raises no interrupt. Commands are those of IBM's PS/2 Hardware Interface
/// Technical Reference, "Keyboard and Auxiliary Device Controller".
public final class KeyboardController: BusDevice {
  private struct Status: OptionSet {
    let rawValue: UInt8
    static var outputFull: Self { Self(rawValue: 1 << 0) }
    static var selfTested: Self { Self(rawValue: 1 << 2) }
    static var isCommand: Self { Self(rawValue: 1 << 3) }
    static var unlocked: Self { Self(rawValue: 1 << 4) }
    static var timeout: Self { Self(rawValue: 1 << 6) }
  }

  /// Commands whose parameter, the next byte to the data port, is still to come.
  private enum Awaited: UInt8 {
    case configuration = 0x60
    case outputPort = 0xD1
    case keyboardOutput = 0xD2
    case mouseOutput = 0xD3
    case mouse = 0xD4
  }

  private struct State {
    var status: Status = .unlocked
    var output: UInt8 = 0
    var awaited: Awaited?
    /// Interrupts off, both ports disabled: as after power-on.
    var configuration: UInt8 = 0x30
    /// Bit 0 is the reset line, low when pulled; bit 1 gates A20, open from the start.
    var outputPort: UInt8 = 0x03

    mutating func reply(_ value: UInt8, timeout: Bool = false) {
      output = value
      status.insert(.outputFull)
      if timeout { status.insert(.timeout) } else { status.remove(.timeout) }
    }
  }

  /// All it remembers, to be saved and put back.
  public struct SavedState: Equatable, Sendable {
    /// The status register.
    public var status: UInt8 = 0x10
    /// The output buffer.
    public var output: UInt8 = 0
    /// The command whose parameter is still to come; 0 for none.
    public var awaited: UInt8 = 0
    /// The command byte.
    public var configuration: UInt8 = 0x30
    /// The output port.
    public var outputPort: UInt8 = 0x03

    /// As at power-on.
    public init() {}
  }

  private let state = Mutex(State())
  private let system: any SystemControl

  /// Makes a controller whose reset line goes to `system`.
  public init(system: any SystemControl) { self.system = system }

  /// Reads the output buffer (range 0) or the status (range 1).
  public func read(_ access: BusAccess) -> UInt64 {
    state.withLock { state in
      guard access.region == 0 else { return UInt64(state.status.rawValue) }
      state.status.subtract([.outputFull, .timeout])
      return UInt64(state.output)
    }
  }

  /// Writes data (range 0) or a command (range 1).
  public func write(_ value: UInt64, _ access: BusAccess) {
    let byte = UInt8(truncatingIfNeeded: value)
    let resets = state.withLock { state in
      access.region == 0 ? Self.takeData(byte, &state) : Self.takeCommand(byte, &state)
    }
    if resets { system.request(.reset) }
  }

  /// All it remembers, to be saved and put back; any thread.
  public var savedState: SavedState {
    get {
      state.withLock { state in
        var saved = SavedState()
        saved.status = state.status.rawValue
        saved.output = state.output
        saved.awaited = state.awaited?.rawValue ?? 0
        saved.configuration = state.configuration
        saved.outputPort = state.outputPort
        return saved
      }
    }
    set {
      state.withLock { state in
        state.status = Status(rawValue: newValue.status & 0x5D)
        state.output = newValue.output
        state.awaited = Awaited(rawValue: newValue.awaited)
        state.configuration = newValue.configuration
        state.outputPort = newValue.outputPort
      }
    }
  }

  /// Puts the controller to its state after power-on.
  public func reset() { state.withLock { $0 = State() } }

  /// Carries out a byte to the data port; true if it pulls the reset line.
  private static func takeData(_ value: UInt8, _ state: inout State) -> Bool {
    state.status.remove(.isCommand)
    defer { state.awaited = nil }
    switch state.awaited {
    case .configuration: state.configuration = value
    case .outputPort:
      state.outputPort = value
      return value & 0x01 == 0
    case .keyboardOutput, .mouseOutput: state.reply(value)
    // Nobody answers: the controller says "resend" and that the time ran out.
    case .mouse, nil: state.reply(0xFE, timeout: true)
    }
    return false
  }

  /// Carries out a command; true if it pulls the reset line.
  private static func takeCommand(_ command: UInt8, _ state: inout State) -> Bool {
    state.status.insert(.isCommand)
    state.awaited = Awaited(rawValue: command)
    switch command {
    case 0x20: state.reply(state.configuration)
    case 0xA7: state.configuration |= 0x20
    case 0xA8: state.configuration &= ~0x20
    case 0xA9: state.reply(0x01)  // mouse port test: its clock line is stuck low
    case 0xAA:
      state.status.insert(.selfTested)
      state.reply(0x55)
    case 0xAB: state.reply(0x00)  // keyboard port test: the lines are fine
    case 0xAD: state.configuration |= 0x10
    case 0xAE: state.configuration &= ~0x10
    case 0xC0: state.reply(0x80)  // input port: not locked
    case 0xD0: state.reply(state.outputPort)
    case 0xDD: state.outputPort &= ~0x02
    case 0xDF: state.outputPort |= 0x02
    // The low bits pulse lines of the output port; bit 0 is the reset line, pulled when it is 0.
    case 0xF0...0xFF: return command & 0x01 == 0
    default: break
    }
    return false
  }
}
