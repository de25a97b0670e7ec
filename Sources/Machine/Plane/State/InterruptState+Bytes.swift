import DeviceModel
import Interrupts
import Platform

/// The layout of a saved state: `APUSINTR`, the version, the length of what follows, that, and its CRC-32.
///
/// All numbers are little-endian; version, length, checksum and counts have four bytes. What follows is, in
/// this order: the mode; the lines; the messages; I/O APIC, 8259s, timer chip; the processors. The functions
/// below list the fields of each in their order, and are both the writer and the reader. A field that is added
/// makes another version.
extension InterruptState {
  /// The version that is written and read.
  static var version: UInt32 { 1 }
  private static var magic: [UInt8] { Array("APUSINTR".utf8) }
  private static var headerSize: Int { 16 }
  /// No state is longer than this, in bytes.
  public static var sizeLimit: Int { 1 << 20 }

  /// The state as it is kept in a file.
  public var bytes: [UInt8] {
    var coder = StateCoder()
    var copy = self
    // Only reading fails.
    try? copy.code(&coder)
    var header = StateCoder()
    var (version, length) = (Self.version, UInt32(coder.bytes.count))
    var checksum = Self.checksum(coder.bytes[...])
    try? header.number(&version)
    try? header.number(&length)
    var trailer = StateCoder()
    try? trailer.number(&checksum)
    return Self.magic + header.bytes + coder.bytes + trailer.bytes
  }

  /// Reads what ``bytes`` has written, from whomever it comes.
  ///
  /// - Throws: ``InterruptStateError``, with what is wrong.
  public init(bytes: [UInt8]) throws(InterruptStateError) {
    guard bytes.starts(with: Self.magic), bytes.count >= Self.headerSize else {
      throw .unknownFormat
    }
    var header = StateCoder(reading: bytes[Self.magic.count..<Self.headerSize])
    var (version, length) = (UInt32(0), UInt32(0))
    try header.number(&version)
    try header.number(&length)
    guard version == Self.version else { throw .version(version) }
    let expected = Self.headerSize + Int(length) + 4
    guard bytes.count == expected else { throw .length(expected: expected, found: bytes.count) }
    let content = bytes[Self.headerSize..<expected - 4]
    var trailer = StateCoder(reading: bytes[(expected - 4)...])
    var checksum: UInt32 = 0
    try trailer.number(&checksum)
    guard checksum == Self.checksum(content) else { throw .checksum }
    var coder = StateCoder(reading: content)
    self.init(mode: .split)
    try code(&coder)
    guard coder.remaining == 0 else {
      throw .invalid(field: "bytes after its end:", value: UInt64(coder.remaining))
    }
  }

  /// CRC-32 as in Ethernet (IEEE 802.3, 3.2.9).
  static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in
        value >> 1 ^ (value & 1 != 0 ? 0xEDB8_8320 : 0)
      }
    }
  }

  private mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try mode.code(&coder)
    try codeLines(&coder)
    try codeMessages(&coder)
    try chips.ioAPIC.code(&coder)
    try chips.pic.code(&coder)
    try chips.timer.code(&coder)
    var count = processors.count
    try coder.count(&count, "processor count", limit: 255)
    if coder.isReading { processors = Array(repeating: Processor(), count: count) }
    for index in processors.indices { try processors[index].code(&coder) }
  }

  private mutating func codeLines(_ coder: inout StateCoder) throws(InterruptStateError) {
    var count = lines.count
    try coder.count(&count, "line count", limit: Int(RoutingTable.gsiCount))
    if coder.isReading { lines = Array(repeating: Line(gsi: GSI(0)), count: count) }
    var last: UInt32?
    for index in lines.indices {
      try lines[index].code(&coder)
      let gsi = lines[index].gsi.rawValue
      guard gsi < RoutingTable.gsiCount, last.map({ $0 < gsi }) ?? true else {
        throw .invalid(field: "GSI", value: UInt64(gsi))
      }
      last = gsi
    }
  }

  private mutating func codeMessages(_ coder: inout StateCoder) throws(InterruptStateError) {
    var count = messages.count
    try coder.count(&count, "message count", limit: Int(RoutingTable.gsiCount))
    if coder.isReading {
      messages = Array(repeating: (GSI(0), InterruptMessage(address: 0, data: 0)), count: count)
    }
    for index in messages.indices {
      var gsi = messages[index].gsi.rawValue
      try coder.number(&gsi)
      messages[index].gsi = GSI(gsi)
      try messages[index].message.code(&coder)
    }
  }
}

extension InterruptMode {
  /// Its place among all of them.
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var number = UInt8(Self.allCases.firstIndex(of: self) ?? 0)
    try coder.number(&number)
    guard number < Self.allCases.count else {
      throw .invalid(field: "mode", value: UInt64(number))
    }
    self = Self.allCases[Int(number)]
  }
}

extension InterruptState.Line {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var number = gsi.rawValue
    try coder.number(&number)
    gsi = GSI(number)
    try coder.flag(&isAsserted, "line level")
    try coder.count(&sources, "source count", limit: Int(UInt32.max))
    try coder.count(&asserted, "asserted count", limit: sources)
    try coder.count(&bound, "bound count", limit: sources)
    var count = routes.count
    try coder.count(&count, "route count", limit: 2)
    if coder.isReading { routes = Array(repeating: .pin(.ioAPIC(0)), count: count) }
    for index in routes.indices { try routes[index].code(&coder) }
    do throws(InterruptError) {
      if coder.isReading { try RoutingTable([gsi: routes]).validate() }
    } catch {
      throw .invalid(field: "routes of GSI", value: UInt64(gsi.rawValue))
    }
    try coder.number(&counters.raised)
    try coder.number(&counters.coalesced)
    try coder.number(&counters.delivered)
    try coder.number(&counters.ended)
    try coder.number(&counters.resampled)
    try coder.number(&counters.spurious)
  }
}

extension InterruptRoute {
  /// 0 and a pin of the I/O APIC, 1 and one of the 8259s, 2 and a message.
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    var (kind, pin) = (UInt8(0), 0)
    var message = InterruptMessage(address: 0, data: 0)
    switch self {
    case .pin(.ioAPIC(let number)): pin = number
    case .pin(.pic(let number)): (kind, pin) = (1, number)
    case .message(let own): (kind, message) = (2, own)
    }
    try coder.number(&kind)
    switch kind {
    case 0, 1:
      try coder.count(&pin, "pin", limit: kind == 0 ? 23 : 15)
      self = .pin(kind == 0 ? .ioAPIC(pin) : .pic(pin))
    case 2:
      try message.code(&coder)
      self = .message(message)
    default: throw .invalid(field: "route", value: UInt64(kind))
    }
  }
}

extension InterruptMessage {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&address)
    try coder.number(&data)
  }
}
