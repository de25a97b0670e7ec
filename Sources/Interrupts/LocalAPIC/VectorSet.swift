/// The vectors 0 to 255 in one of the three 256-bit registers: IRR, ISR, TMR (SDM volume 3A, 11.8.4).
struct VectorSet: Sendable {
  private var words = InlineArray<4, UInt64>(repeating: 0)

  /// The highest vector, or 0 if there is none: vectors below 16 are never in the registers.
  var highest: UInt8 {
    var index = 3
    while index >= 0 {
      let word = words[index]
      if word != 0 {
        return UInt8(truncatingIfNeeded: index * 64 + 63 - word.leadingZeroBitCount)
      }
      index -= 1
    }
    return 0
  }

  func contains(_ vector: UInt8) -> Bool {
    words[Int(vector >> 6)] & Self.bit(vector) != 0
  }

  mutating func insert(_ vector: UInt8) { words[Int(vector >> 6)] |= Self.bit(vector) }

  mutating func remove(_ vector: UInt8) { words[Int(vector >> 6)] &= ~Self.bit(vector) }

  /// One of the eight 32-bit registers that the guest sees.
  subscript(register: Int) -> UInt32 {
    get { UInt32(truncatingIfNeeded: words[register >> 1] >> UInt64(register & 1 * 32)) }
    set {
      let shift = UInt64(register & 1 * 32)
      words[register >> 1] &= ~(UInt64(UInt32.max) << shift)
      words[register >> 1] |= UInt64(newValue) << shift
    }
  }

  /// All eight of them, the lowest vectors first.
  var registers: [UInt32] { (0..<8).map { self[$0] } }

  init() {}

  /// Takes up to eight registers from a saved state; no vector below 16 can have been there.
  init(registers: [UInt32]) {
    for (index, value) in registers.prefix(8).enumerated() {
      self[index] = index == 0 ? value & 0xFFFF_0000 : value
    }
  }

  private static func bit(_ vector: UInt8) -> UInt64 { 1 << UInt64(vector & 63) }
}
