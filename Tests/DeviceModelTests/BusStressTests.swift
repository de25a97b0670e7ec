import Glibc
import HostOS
import Synchronization
import TestSupport
import Testing

@testable import DeviceModel

/// Readers, movers and removers at once: no device is called after its removal returned, none leaks.
@Suite(.timeLimit(.minutes(5)), .serialized) struct BusStressTests {
  /// What the devices of one run report.
  final class Ledger: Sendable {
    let made = Atomic<Int>(0)
    let released = Atomic<Int>(0)
    let calls = Atomic<Int>(0)
    let callsAfterRemoval = Atomic<Int>(0)
    let wrongValues = Atomic<Int>(0)
  }

  final class MortalDevice: BusDevice {
    private let ledger: Ledger
    let tag: UInt64
    let isRemoved = Atomic<Bool>(false)

    init(_ ledger: Ledger, tag: UInt64) {
      self.ledger = ledger
      self.tag = tag
      ledger.made.add(1, ordering: .relaxed)
    }

    deinit { ledger.released.add(1, ordering: .relaxed) }

    func read(_ access: BusAccess) -> UInt64 {
      if isRemoved.load(ordering: .acquiring) {
        ledger.callsAfterRemoval.add(1, ordering: .relaxed)
      }
      ledger.calls.add(1, ordering: .relaxed)
      let value = tag
      if isRemoved.load(ordering: .acquiring) {
        ledger.callsAfterRemoval.add(1, ordering: .relaxed)
      }
      return value
    }

    func write(_ value: UInt64, _ access: BusAccess) {}
  }

  /// Moves a range from inside an access, as a PCI function whose BAR is written.
  final class Configuration: BusDevice {
    private let bus: Bus
    private let ticket: BusRegistration

    init(_ bus: Bus, _ ticket: BusRegistration) {
      self.bus = bus
      self.ticket = ticket
    }

    func read(_ access: BusAccess) -> UInt64 { 0 }
    func write(_ value: UInt64, _ access: BusAccess) {
      try? bus.move(ticket, to: value == 0 ? nil : value)
    }
  }

  @Test(arguments: BusRemovalTests.barriers)
  func nothingIsCalledAfterItsRemovalAndNothingLeaks(usesBarrier: Bool) throws {
    let ledger = Ledger()
    let done = Gate()
    try run(ledger, done, usesBarrier)
    #expect(ledger.callsAfterRemoval.load(ordering: .relaxed) == 0)
    #expect(ledger.wrongValues.load(ordering: .relaxed) == 0)
    #expect(ledger.calls.load(ordering: .relaxed) > 0)
    #expect(ledger.made.load(ordering: .relaxed) == ledger.released.load(ordering: .relaxed))
  }

  private func run(_ ledger: Ledger, _ done: Gate, _ usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let ports = Bus(.port, usesProcessBarrier: usesBarrier)
    let barTag: UInt64 = 0x77
    let bar = try bus.register(
      MortalDevice(ledger, tag: barTag),
      name: "bar",
      at: [.unmapped(size: 8)]
    )
    // The configuration device holds the bus, so it sits on another, and goes at the end.
    let configuration = try ports.register(
      Configuration(bus, bar),
      name: "configuration",
      at: [BusRange(0xCFC, size: 4)]
    )

    let readers = try (1...2).map { seed in
      try TestThread {
        let view = BusView(of: bus)
        let portView = BusView(of: ports)
        var random = Generator(state: UInt64(seed))
        while !done.isOpen {
          let slot = random.next() % 8
          let value = view.read(slot * 8, width: 4)
          if value != slot + 1, value != 0xFFFF_FFFF {
            ledger.wrongValues.add(1, ordering: .relaxed)
          }
          let high = view.read(0x1000 + slot * 8, width: 4)
          if high != barTag, high != 0xFFFF_FFFF {
            ledger.wrongValues.add(1, ordering: .relaxed)
          }
          if random.next() % 8 == 0 {
            let place = random.next() % 9
            portView.write(place == 8 ? 0 : 0x1000 + place * 8, at: 0xCFC, width: 4)
          }
        }
      }
    }
    let removers = try [0, 1].map { (half: UInt64) in
      try TestThread {
        var random = Generator(state: 100 + half)
        for _ in 0..<1500 {
          let slot = half * 4 + random.next() % 4
          let device = MortalDevice(ledger, tag: slot + 1)
          let range = BusRange(slot * 8, size: 8)
          guard let ticket = try? bus.register(device, name: "\(slot)", at: [range]) else {
            ledger.wrongValues.add(1, ordering: .relaxed)
            continue
          }
          if random.next() % 2 == 0 { usleep(100) }
          bus.remove(ticket)
          device.isRemoved.store(true, ordering: .releasing)
        }
      }
    }
    for remover in removers { remover.join() }
    done.open()
    for reader in readers { reader.join() }
    ports.remove(configuration)
    bus.remove(bar)
  }
}
