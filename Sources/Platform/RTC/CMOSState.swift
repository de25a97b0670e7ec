/// All that a clock chip remembers, to be saved and put back.
///
/// The time itself is the host's: a clock that is put back shows what it would, had it run on.
public struct CMOSState: Equatable, Sendable {
  /// The register that the index port selects.
  public var index: UInt8 = 0
  /// Register A.
  public var a: UInt8 = 0x26
  /// Register B.
  public var b: UInt8 = 0x02
  /// The flags of register C.
  public var c: UInt8 = 0
  /// The 128 bytes; those of the time mean something only while it stands still.
  public var memory: [UInt8] = Array(repeating: 0, count: Self.memorySize)
  /// The guest's clock less the host's, in seconds.
  public var offset: Int64 = 0
  /// What the guest made the weekday differ from the date's, in days.
  public var weekdayOffset: Int8 = 0

  /// The bytes of memory, those of the registers included.
  public static var memorySize: Int { 128 }
  /// The largest ``offset``: some thirty thousand years, which the registers cannot reach.
  public static var offsetLimit: Int64 { 1 << 40 }

  /// A chip that has just got its battery.
  public init() {}
}

extension CMOS {
  var state: CMOSState {
    var state = CMOSState()
    state.index = UInt8(index)
    state.a = a
    state.b = b.rawValue
    state.c = c.rawValue
    for register in 0..<CMOSState.memorySize { state.memory[register] = memory[register] }
    state.offset = offset
    state.weekdayOffset = Int8(clamping: weekdayOffset)
    return state
  }

  /// Takes a state, from whomever it comes.
  mutating func restore(_ state: CMOSState, at now: Instant) {
    index = Int(state.index & 0x7F)
    a = state.a & 0x7F
    b = Control(rawValue: state.b)
    c = Control(rawValue: state.c).intersection(.interrupts)
    for (register, value) in state.memory.prefix(CMOSState.memorySize).enumerated() {
      memory[register] = value
    }
    offset = min(max(state.offset, -CMOSState.offsetLimit), CMOSState.offsetLimit)
    weekdayOffset = Int64(state.weekdayOffset) % 7
    seen = now
  }
}
