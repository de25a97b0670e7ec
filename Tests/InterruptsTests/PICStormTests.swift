import DeviceModel
import Interrupts
import Synchronization
import TestSupport
import Testing

/// Whatever guests and devices do to the 8259s at once, they neither trap nor lose a level.
@Suite(.timeLimit(.minutes(5))) struct PICStormTests {
  @Test(arguments: [UInt64(1), 2, 3, 4])
  func accessesOfAnyKindLeaveTheChipsAnswering(seed: UInt64) {
    var random = SeededNumbers(state: seed)
    let bench = PICBench()

    for _ in 0..<20_000 {
      let wild = random.next() % 16 == 0
      let access = BusAccess(
        region: Int(random.next() % 4),
        offset: wild ? random.next() : random.next() % 3,
        width: 1 << Int(random.next() % 4)
      )
      let mask = UInt64.max >> (64 - 8 * UInt64(access.width))
      switch random.next() % 8 {
      case 0...3: bench.chips.write(random.next() & mask, access)
      case 4, 5: bench.set(Int(random.next() % 32), random.next() % 2 == 0)
      case 6: _ = bench.chips.acknowledge()
      default: #expect(bench.chips.read(access) & ~mask == 0)
      }
    }

    #expect(bench.outputs.last ?? false == bench.chips.isRequesting)
    for pin in 0..<32 { bench.set(pin, false) }
    bench.start()
    bench.write(0x4D0, 0x20)
    bench.set(5, true)
    #expect(bench.chips.acknowledge() == 0x35)
  }

  /// Threads that assert, acknowledge, end and mask: in the end every asserted level is delivered,
  /// and what was last told of INTR is true.
  @Test(arguments: [UInt64(21), 22, 23])
  func noAssertedLevelIsLostInARace(seed: UInt64) throws {
    let bench = PICBench()
    bench.start()
    bench.write(0x4D0, 0x20)
    bench.write(0x4D1, 0x16)
    bench.devices.whenAcknowledged { [unowned bench] pin in
      if pin == .pic(9) || pin == .pic(5) { bench.set(pin == .pic(9) ? 9 : 5, false) }
    }
    var threads: [TestThread] = []
    for thread in 0..<4 {
      threads.append(
        try TestThread {
          var random = SeededNumbers(state: seed &* 100 &+ UInt64(thread))
          let pins = [5, 9, 10, 12]
          for _ in 0..<5_000 {
            let pin = pins.randomElement(using: &random) ?? 5
            switch random.next() % 8 {
            case 0...2: bench.set(pin, random.next() % 2 == 0)
            case 3: _ = bench.chips.acknowledge()
            case 4: bench.write(0xA0, 0x20)
            case 5: bench.write(0x20, 0x20)
            case 6: bench.write(random.next() % 2 == 0 ? 0x21 : 0xA1, random.next() & 0xFF)
            default: _ = bench.chips.pins
            }
          }
        }
      )
    }
    for thread in threads { thread.join() }

    // Ends all that is in service, and lets all that is asserted come.
    bench.write(0x21, 0x00)
    bench.write(0xA1, 0x00)
    for _ in 0..<8 {
      bench.write(0xA0, 0x20)
      bench.write(0x20, 0x20)
    }
    #expect(bench.outputs.last ?? false == bench.chips.isRequesting)
    for pin in [5, 9, 10, 12] { bench.set(pin, true) }
    var vectors: Set<UInt8> = []
    for _ in 0..<8 {
      vectors.formUnion(bench.takeVectors())
      bench.set(10, false)
      bench.set(12, false)
      bench.write(0xA0, 0x20)
      bench.write(0x20, 0x20)
    }
    #expect(vectors.isSuperset(of: [0x35, 0x39]))
    #expect(!bench.chips.isRequesting)
    #expect(bench.outputs.last == false)
  }
}
