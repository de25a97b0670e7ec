import DeviceModel
import Interrupts
import Synchronization

/// A pair of 8259As with all that is around it.
final class PICBench: Sendable {
  let levels = PinLevels()
  let devices = IOAPICBench.Devices()
  let chips: PICPair
  private let outputLog = Mutex<[Bool]>([])

  init() {
    chips = PICPair(levels: levels, acknowledgement: devices)
    chips.whenOutputChanges { [unowned self] level in outputLog.withLock { $0.append(level) } }
  }

  /// What was told of INTR, in order.
  var outputs: [Bool] { outputLog.withLock { $0 } }

  func read(_ port: UInt64, width: Int = 1) -> UInt64 {
    chips.read(Self.access(port, width: width))
  }

  func write(_ port: UInt64, _ value: UInt64, width: Int = 1) {
    chips.write(value, Self.access(port, width: width))
  }

  private static func access(_ port: UInt64, width: Int) -> BusAccess {
    switch port {
    case 0x20...0x21: BusAccess(region: 0, offset: port - 0x20, width: width)
    case 0xA0...0xA1: BusAccess(region: 1, offset: port - 0xA0, width: width)
    default: BusAccess(region: 2, offset: port &- 0x4D0, width: width)
    }
  }

  /// Initialises both chips as a PC's firmware does, unmasked.
  func start(primaryMode: UInt64 = 0x01, secondaryMode: UInt64 = 0x01) {
    write(0x20, 0x11)
    write(0x21, 0x30)
    write(0x21, 0x04)
    write(0x21, primaryMode)
    write(0xA0, 0x11)
    write(0xA1, 0x38)
    write(0xA1, 0x02)
    write(0xA1, secondaryMode)
  }

  func set(_ pin: Int, _ level: Bool) {
    levels.set(pin, level)
    chips.refresh()
  }

  /// Acknowledges as long as there is something to, with no ends.
  func takeVectors() -> [UInt8] {
    var vectors: [UInt8] = []
    while chips.isRequesting, vectors.count < 16 { vectors.append(chips.acknowledge()) }
    return vectors
  }

  /// IRR, ISR and IMR of a chip.
  func registers(_ port: UInt64) -> [UInt64] {
    write(port, 0x0A)
    let requests = read(port)
    write(port, 0x0B)
    return [requests, read(port), read(port + 1)]
  }
}
