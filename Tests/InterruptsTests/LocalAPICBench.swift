import DeviceModel
import Interrupts
import Synchronization
import TestSupport

/// Some local APICs with everything around them that they talk to.
final class LocalAPICBench: Sendable {
  /// An I/O APIC that writes down what it hears.
  final class Ends: EndOfInterruptTarget {
    private let state = Mutex<[UInt8]>([])
    var vectors: [UInt8] { state.withLock { $0 } }
    func endOfInterrupt(vector: UInt8) { state.withLock { $0.append(vector) } }
  }

  /// A pair of 8259s with one request at a time.
  final class External: ExternalInterruptSource {
    private let vector = Mutex<UInt8?>(nil)
    var isRequesting: Bool { vector.withLock { $0 != nil } }
    func request(_ vector: UInt8?) { self.vector.withLock { $0 = vector } }
    func acknowledge() -> UInt8 {
      vector.withLock { vector in
        defer { vector = nil }
        return vector ?? 0x27
      }
    }
  }

  let clock = ManualClock()
  let all: LocalAPICs
  let ends = Ends()
  let external = External()
  private let wakes: Mutex<[Int]>

  /// Makes `count` local APICs that software has switched on.
  init(_ count: Int = 1, options: LocalAPICOptions = LocalAPICOptions(), isSwitchedOn: Bool = true)
  {
    all = LocalAPICs(count: count, clock: clock, options: options)
    wakes = Mutex(Array(repeating: 0, count: count))
    all.connect(endOfInterrupt: ends, external: external)
    for index in 0..<count {
      all[index].whenWoken { [weak self] in self?.wakes.withLock { $0[index] += 1 } }
      if isSwitchedOn { write(0xF0, 0x1FF, index) }
    }
  }

  var apic: LocalAPIC { all[0] }

  func wakes(_ index: Int = 0) -> Int { wakes.withLock { $0[index] } }

  func read(_ offset: UInt64, _ index: Int = 0, width: Int = 4) -> UInt64 {
    all[index].read(BusAccess(offset: offset, width: width))
  }

  func write(_ offset: UInt64, _ value: UInt64, _ index: Int = 0, width: Int = 4) {
    all[index].write(value, BusAccess(offset: offset, width: width))
  }

  /// Sends an IPI as software does in xAPIC mode.
  func send(_ low: UInt64, to destination: UInt64 = 0, from index: Int = 0) {
    write(0x310, destination << 24, index)
    write(0x300, low, index)
  }

  /// Sends a message as a device does.
  @discardableResult
  func message(
    _ data: UInt32,
    to destination: UInt64 = 0,
    bits: UInt64 = 0
  ) -> InterruptDelivery {
    all.deliver(InterruptMessage(address: 0xFEE0_0000 | destination << 12 | bits, data: data))
  }

  /// Which of the local APICs have `vector` pending.
  func pending(_ vector: UInt8) -> [Int] {
    (0..<all.count).filter { all[$0].state.requestedVectors.contains(vector) }
  }

  /// Goes into x2APIC mode, and is switched on by software there.
  func enterX2APIC(_ index: Int = 0) throws {
    try all[index].writeBase(all[index].base | 1 << 10)
    try all[index].writeMSR(0x80F, 0x1FF)
  }

  /// The errors that a write to the error status register brings to light.
  func errors(_ index: Int = 0) -> UInt64 {
    write(0x280, 0, index)
    return read(0x280, index)
  }

  /// Sets INTR as the 8259s would.
  func setExternal(_ vector: UInt8?) {
    external.request(vector)
    all.setExternalRequest(vector != nil)
  }
}
