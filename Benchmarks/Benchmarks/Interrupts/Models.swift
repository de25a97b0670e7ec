import DeviceModel
import HostOS
import InterruptGuest
import Interrupts
import Platform
import Synchronization

/// The controllers of a machine with one processor, and a level line of some devices.
final class Controllers: Sendable {
  static let vector: UInt8 = 0x41

  let apics: LocalAPICs
  let router: InterruptRouter
  let ioAPIC: IOAPIC
  let pic: PICPair
  let sources: [InterruptSource]
  let heard = Atomic(0)

  /// Makes a line with `count` devices; at the end of their interrupt each hears of it.
  init(devices count: Int, hearing notify: @escaping @Sendable (Int) -> Void = { _ in }) throws {
    apics = LocalAPICs(count: 1, clock: try HostClock())
    router = InterruptRouter(messages: apics)
    ioAPIC = IOAPIC(id: 0, levels: router.ioAPICLevels, messages: apics, acknowledgement: router)
    pic = PICPair(levels: router.picLevels, acknowledgement: router)
    router.connect(ioAPIC: ioAPIC, pic: pic)
    try router.setRoutes(.pc)
    apics.connect(endOfInterrupt: ioAPIC, external: pic)
    apics[0].enterVirtualWireMode()
    // Pin 20: level-triggered, to processor 0.
    ioAPIC.write(0x10 + 2 * 20, BusAccess(offset: 0, width: 4))
    ioAPIC.write(0x8000 | UInt64(Self.vector), BusAccess(offset: 0x10, width: 4))
    let router = router
    sources = try (0..<count).map { _ in try router.makeSource(of: GSI(20)) }
    for (index, source) in sources.enumerated() {
      try source.bind { [unowned self] in
        heard.add(1, ordering: .relaxed)
        notify(index)
      }
    }
  }

  func takeDown() {
    router.disconnect()
    apics.disconnect()
  }

}

extension LocalAPIC {
  /// The processor ends its interrupt.
  fileprivate func end() { write(0, BusAccess(offset: 0xB0, width: 4)) }
}

/// One interrupt of a level line after another: `asserted` of `devices` raise it, the processor takes it, and ends it.
private func measureLine(
  devices: Int,
  asserted: Int,
  samples count: Int,
  hearing notify: @escaping @Sendable (Int) -> Void = { _ in }
) throws -> (delivery: Samples, end: Samples, round: Double) {
  let controllers = try Controllers(devices: devices, hearing: notify)
  defer { controllers.takeDown() }
  let apic = controllers.apics[0]
  var (delivery, end) = (Samples(count: count), Samples(count: count))
  var taken = 0
  for _ in 0..<count {
    let start = now()
    for source in controllers.sources.prefix(asserted) { source.assert() }
    let vector = apic.acknowledgeInterrupt()
    delivery.add(start, now())
    if vector == Controllers.vector { taken += 1 }
    let ended = now()
    apic.end()
    end.add(ended, now())
  }
  // The same without a look at the clock.
  let start = threadTime()
  for _ in 0..<count {
    for source in controllers.sources.prefix(asserted) { source.assert() }
    if apic.acknowledgeInterrupt() == Controllers.vector { taken += 1 }
    apic.end()
  }
  let round = Double(threadTime() - start) / Double(count)
  let heard = controllers.heard.load(ordering: .relaxed)
  precondition(
    taken == 2 * count && heard == 2 * count * asserted,
    "\(taken) taken, \(heard) heard"
  )
  return (delivery, end, round)
}

/// One message after another, taken and ended.
private func measureMessages(samples count: Int) throws -> (Samples, Samples, Double) {
  let controllers = try Controllers(devices: 0)
  defer { controllers.takeDown() }
  let apic = controllers.apics[0]
  let message = InterruptMessage(address: 0xFEE0_0000, data: UInt32(Controllers.vector))
  var (delivery, end) = (Samples(count: count), Samples(count: count))
  var taken = 0
  for _ in 0..<count {
    let start = now()
    controllers.apics.deliver(message)
    let vector = apic.acknowledgeInterrupt()
    delivery.add(start, now())
    if vector == Controllers.vector { taken += 1 }
    let ended = now()
    apic.end()
    end.add(ended, now())
  }
  let start = threadTime()
  for _ in 0..<count {
    controllers.apics.deliver(message)
    if apic.acknowledgeInterrupt() == Controllers.vector { taken += 1 }
    apic.end()
  }
  let round = Double(threadTime() - start) / Double(count)
  precondition(taken == 2 * count, "\(taken) taken")
  return (delivery, end, round)
}

/// Prints what the models take.
func measureModels(_ count: Int) {
  let overhead = clockOverhead()
  let event: EventFD
  var rows: [[String]] = []
  func row(_ name: String, _ result: (delivery: Samples, end: Samples, round: Double)) {
    rows.append(
      [name] + result.delivery.cells(less: overhead) + result.end.cells(less: overhead)
        + [tenths(result.round)]
    )
  }
  do {
    event = try EventFD()
    for _ in 0..<2 {
      // The first pass warms up.
      rows = []
      row("a line of one device", try measureLine(devices: 1, asserted: 1, samples: count))
      row("shared by 3, one asserts", try measureLine(devices: 3, asserted: 1, samples: count))
      row("shared by 3, all assert", try measureLine(devices: 3, asserted: 3, samples: count))
      row(
        "one device, its eventfd is signalled",
        try measureLine(devices: 1, asserted: 1, samples: count) { _ in event.signal() }
      )
      row("a message", try measureMessages(samples: count))
    }
  } catch {
    return print("models: \(error)")
  }
  print("Models: \(count) samples, ns, less \(Int(overhead)) ns for two looks at the clock.")
  print()
  printTable(
    ["", "assert to vector", "p99", "EOI to notice", "p99", "all, no clock"],
    rows
  )
}
