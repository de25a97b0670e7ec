import Interrupts

/// A call of the interface, likely or not.
struct Call: CustomStringConvertible {
  enum Kind { case set, get, setFirst, getFirst, has }

  let kind: Kind
  let group: UInt32
  let attr: UInt64
  let flags: UInt32
  let bytes: [UInt8]

  var description: String { "\(kind) \(group) \(attr) \(flags) \(bytes)" }

  init(_ random: inout SeededNumbers) {
    kind =
      [.set, .set, .set, .set, .get, .setFirst, .getFirst, .has]
      .randomElement(using: &random) ?? .set
    group = UInt32.random(in: 0...12, using: &random)
    flags = UInt32.random(in: 0..<8, using: &random) == 0 ? 1 : 0
    var bytes: [UInt8] = []
    switch group {
    case 2:
      for _ in 0..<Int.random(in: 0...4, using: &random) { bytes += Self.record(&random) }
    case 6: bytes = big(.random(in: 0...65, using: &random), 4) + Self.noise(4, &random)
    case 7:
      bytes = big(.random(in: 0...65, using: &random), 4)
      bytes += [UInt8.random(in: 0...4, using: &random)] + Self.noise(3, &random)
      bytes += big(.random(in: 0...3, using: &random), 8)
    case 8: bytes = big(0x1_0000 | .random(in: 0...7, using: &random), 4)
    case 9:
      bytes = [UInt8.random(in: 0...8, using: &random), 0]
      bytes += big(.random(in: 0...2, using: &random), 2)
    default: bytes = Self.noise(Int.random(in: 0...80, using: &random), &random)
    }
    if Int.random(in: 0..<8, using: &random) == 0 {
      bytes = Array(bytes.prefix(Int.random(in: 0...max(1, bytes.count), using: &random)))
    }
    self.bytes = bytes
    switch Int.random(in: 0..<12, using: &random) {
    case 0: attr = .random(in: 0 ... .max, using: &random)
    case 1: attr = .random(in: 0...300, using: &random)
    default: attr = group == 10 ? .random(in: 0...65, using: &random) : UInt64(bytes.count)
    }
  }

  private static func noise(_ count: Int, _ random: inout SeededNumbers) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  private static func record(_ random: inout SeededNumbers) -> [UInt8] {
    let types: [UInt64] = [
      0xFFFF_2401, 0xFFFF_2603, 0xFFFE_0005, 0xFFFE_1000, 0x0400_0000, 0, 1, 2, 0xFFFD_FFFF,
    ]
    guard Int.random(in: 0..<20, using: &random) != 0 else { return noise(72, &random) }
    let type = types.randomElement(using: &random) ?? 0
    guard type < 8 else { return big(type, 8) + noise(64, &random) }
    return Record.io(
      .random(in: 0...7, using: &random),
      isc: .random(in: 0...7, using: &random),
      type: type
    )
  }

  /// Makes the call; its error number.
  func run(on bench: FLICBench) -> Int32 {
    bench.code { () throws(FLICError) in
      switch kind {
      case .set: try bench.set(group, attr: attr, flags: flags, bytes)
      case .get: _ = try bench.get(group, attr: attr, room: bytes.count)
      case .setFirst: try bench.setFirst(group, bytes)
      case .getFirst: _ = try bench.getFirst(group, room: bytes.count)
      case .has: try bench.flic.hasAttribute(group: group)
      }
    }
  }
}
