import DeviceModel
import Interrupts
import TestSupport

/// A whole interrupt plane with one processor, and a guest that serves what comes.
final class PlaneRig: Sendable {
  let apics: LocalAPICs
  let router: InterruptRouter
  let ioAPIC: IOAPIC
  /// How often the guest was interrupted, by vector.
  let served = PlaneLock<[UInt8: Int]>([:])

  var apic: LocalAPIC { apics[0] }

  init() throws {
    apics = LocalAPICs(count: 1, clock: ManualClock())
    router = InterruptRouter(messages: apics)
    ioAPIC = IOAPIC(id: 0, levels: router.ioAPICLevels, messages: apics, acknowledgement: router)
    router.connect(ioAPIC: ioAPIC, pic: nil)
    try router.setRoutes(.pc)
    apics.connect(endOfInterrupt: ioAPIC, external: NoPIC())
    apics[0].enterVirtualWireMode()
  }

  func takeDown() {
    router.disconnect()
    apics.disconnect()
  }

  /// Writes a redirection entry: level-triggered, fixed, to processor 0.
  func program(pin: Int, vector: UInt8, isMasked: Bool = false) {
    writeIOAPIC(0x10 + 2 * pin, UInt32(vector) | 1 << 15 | (isMasked ? 1 << 16 : 0))
  }

  private func writeIOAPIC(_ index: Int, _ value: UInt32) {
    ioAPIC.write(UInt64(index), BusAccess(offset: 0, width: 4))
    ioAPIC.write(UInt64(value), BusAccess(offset: 0x10, width: 4))
  }

  /// Serves one interrupt to its end, if there is one.
  @discardableResult
  func serve(_ handler: (UInt8) -> Void = { _ in }) -> Bool {
    guard let vector = apic.acknowledgeInterrupt() else { return false }
    served.withLock { $0[vector, default: 0] += 1 }
    handler(vector)
    apic.write(0, BusAccess(offset: 0xB0, width: 4))
    return true
  }

  private final class NoPIC: ExternalInterruptSource {
    var isRequesting: Bool { false }
    func acknowledge() -> UInt8 { 0 }
  }
}
