import Interrupts

/// What a controller should have pending after the calls that succeeded: plain arrays, looked through
/// from end to end.
struct FLICModel {
  private var queues = [FloatingInterruptClasses: [FloatingInterrupt]]()
  private var adapters = [UInt64: (isc: UInt8, isSuppressible: Bool)]()
  private var single: UInt8 = 0
  private var none: UInt8 = 0
  private let configuration: FLICConfiguration

  init(_ configuration: FLICConfiguration) { self.configuration = configuration }

  var listed: [FloatingInterrupt] {
    ((0..<8).map { FloatingInterruptClasses.io(isc: $0) }
      + [.pageFaultDone, .virtio, .serviceSignal, .machineCheck])
      .flatMap { queues[$0] ?? [] }
  }

  private static func number(_ bytes: some Collection<UInt8>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  private mutating func add(_ record: ArraySlice<UInt8>) {
    let bytes = Array(record)
    func field(_ offset: Int, _ width: Int) -> UInt64 {
      Self.number(bytes[offset..<offset + width])
    }
    let parameters = FloatingInterrupt.ExternalParameters(
      UInt32(field(8, 4)),
      field(16, 8),
      pad: UInt32(field(12, 4))
    )
    switch field(0, 8) {
    case 0xFFFF_2401:
      var parameter: UInt32 = 0
      if case .serviceSignal(let before)? = queues[.serviceSignal]?.first { parameter = before }
      let new = UInt32(field(8, 4))
      let command = parameter & ~7 != 0 ? parameter & ~7 : new & ~7
      queues[.serviceSignal] = [.serviceSignal(parameter: command | (parameter | new) & 3)]
    case 0xFFFE_1000:
      var (cr14, code): (UInt64, UInt64) = (0, 0)
      if case .machineCheck(let a, let b)? = queues[.machineCheck]?.first { (cr14, code) = (a, b) }
      queues[.machineCheck] = [
        .machineCheck(cr14: cr14 | field(8, 8) & 0x1000_0000, code: code | field(16, 8))
      ]
    case 0xFFFE_0005: queues[.pageFaultDone, default: []].append(.pageFaultDone(parameters))
    case 0xFFFF_2603: queues[.virtio, default: []].append(.virtio(parameters))
    default:
      let io = IOInterrupt(
        type: UInt32(field(0, 8)),
        subchannelID: UInt16(field(8, 2)),
        subchannelNumber: UInt16(field(10, 2)),
        parameter: UInt32(field(12, 4)),
        word: UInt32(field(16, 4))
      )
      queues[.io(isc: Int(io.word >> 27 & 7)), default: []].append(.io(io))
    }
  }

  private mutating func takeFirst() {
    for interruptClass: FloatingInterruptClasses in [
      .machineCheck, .serviceSignal, .pageFaultDone, .virtio,
    ] + (0..<8).map({ .io(isc: $0) }) where queues[interruptClass]?.isEmpty == false {
      queues[interruptClass]?.removeFirst()
      return
    }
  }

  private mutating func remove(_ subsystemID: UInt64) {
    for isc in 0..<8 {
      let index = queues[.io(isc: isc)]?.firstIndex {
        if case .io(let io) = $0 { UInt64(io.subsystemID) == subsystemID } else { false }
      }
      guard let index else { continue }
      queues[.io(isc: isc)]?.remove(at: index)
      return
    }
  }

  private mutating func inject(_ id: UInt64) {
    guard let adapter = adapters[id] else { return }
    let bit: UInt8 = adapter.isc < 8 ? 0x80 >> adapter.isc : 0
    let isSuppressible = configuration.hasSuppression && adapter.isSuppressible
    if isSuppressible, none & bit != 0 { return }
    let word = 0x8000_0000 | UInt32(adapter.isc) << 27
    queues[.io(isc: Int(word >> 27 & 7)), default: []].append(
      .io(
        IOInterrupt(
          type: 0x0400_0000,
          subchannelID: 0,
          subchannelNumber: 0,
          parameter: 0,
          word: word
        )
      )
    )
    if isSuppressible { none |= single & bit }
  }

  /// Does what `call` did, if it succeeded.
  mutating func apply(_ call: Call, _ code: Int32) {
    guard code == 0 else { return }
    let bytes = call.bytes
    switch (call.kind, call.group) {
    case (.set, 2):
      for offset in stride(from: 0, to: Int(call.attr), by: 72) { add(bytes[offset..<offset + 72]) }
    case (.setFirst, 2): add(bytes[0..<72])
    case (.set, 3), (.setFirst, 3): queues = [:]
    case (.getFirst, 1): takeFirst()
    case (.set, 6):
      adapters[Self.number(bytes[0..<4])] = (bytes[4], bytes[7] & 1 != 0)
    case (.set, 8): remove(Self.number(bytes[0..<4]))
    case (.set, 9):
      let bit: UInt8 = 0x80 >> bytes[0]
      none &= ~bit
      single = bytes[3] == 1 ? single | bit : single & ~bit
    case (.set, 10): inject(call.attr & 0xFFFF_FFFF)
    case (.set, 11): (single, none) = (bytes[0], bytes[1])
    default: break
    }
  }
}
