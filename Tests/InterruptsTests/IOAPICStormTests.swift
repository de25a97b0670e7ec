import DeviceModel
import Interrupts
import Synchronization
import TestSupport
import Testing

/// Whatever guests and devices do to the I/O APIC at once, it neither traps nor loses a level.
@Suite(.timeLimit(.minutes(5))) struct IOAPICStormTests {
  @Test(arguments: [UInt64(1), 2, 3, 4])
  func accessesOfAnyKindLeaveTheChipAnswering(seed: UInt64) {
    var random = SeededNumbers(state: seed)
    let bench = IOAPICBench()
    let offsets: [UInt64] = [0x00, 0x10, 0x10, 0x10, 0x40, 0x44, 0x08]
    let told = Mutex(0)
    bench.chip.whenRedirectionChanges { told.withLock { $0 += 1 } }
    let outcomes: [InterruptDelivery] = [.delivered, .coalesced, .ignored]

    for _ in 0..<20_000 {
      let wild = random.next() % 16 == 0
      let access = BusAccess(
        offset: wild ? random.next() : offsets.randomElement(using: &random) ?? 0,
        width: 1 << Int(random.next() % 4)
      )
      let mask = UInt64.max >> (64 - 8 * UInt64(access.width))
      switch random.next() % 8 {
      case 0...3: bench.chip.write(random.next() & mask, access)
      case 4: bench.set(Int(random.next() % 32), random.next() % 2 == 0)
      case 5: bench.chip.endOfInterrupt(vector: UInt8(random.next() % 256))
      case 6: bench.processors.outcome = outcomes.randomElement(using: &random) ?? .ignored
      default: #expect(bench.chip.read(access) & ~mask == 0)
      }
    }

    #expect(bench[0x01] == 0x0017_0020)
    #expect(told.withLock { $0 } > 100)
  }

  /// Threads that assert, let go, end, mask and unmask: in the end no asserted level is left behind.
  @Test(arguments: [UInt64(11), 12, 13])
  func noAssertedLevelIsLostInARace(seed: UInt64) throws {
    let bench = IOAPICBench()
    let pins = 16..<20
    for pin in pins { bench.setEntry(pin, UInt64(0x40 + pin) | IOAPICBench.level) }
    bench.chip.whenRedirectionChanges {}
    bench.devices.whenAcknowledged { [unowned bench] pin in
      // Every other pin's device lets go when it is acknowledged.
      if case .ioAPIC(let pin) = pin, pin % 2 == 0 { bench.set(pin, false) }
    }
    var threads: [TestThread] = []
    for thread in 0..<4 {
      threads.append(
        try TestThread {
          var random = SeededNumbers(state: seed &* 100 &+ UInt64(thread))
          for _ in 0..<5_000 {
            let pin = Int(random.next() % 4) + 16
            let vector = UInt8(0x40 + pin)
            switch random.next() % 8 {
            case 0...2: bench.set(pin, random.next() % 4 != 0)
            case 3...5: bench.chip.endOfInterrupt(vector: vector)
            case 6:
              // One write sets the index and the other the register, so threads mix their entries:
              // masks, edges for a moment, and other vectors all happen.
              let entry =
                UInt64(vector) | (random.next() & (IOAPICBench.masked | IOAPICBench.level))
              bench.write(0x00, UInt64(0x10 + 2 * pin))
              bench.write(0x10, entry)
            default: _ = bench.chip.pins
            }
          }
        }
      )
    }
    for thread in threads { thread.join() }
    for pin in pins { bench.setEntry(pin, UInt64(0x40 + pin) | IOAPICBench.level) }
    bench.levels.set(17, true)
    bench.levels.set(19, true)
    bench.chip.refresh()

    // Every asserted pin is in service, and so will be looked at once more at its end.
    for pin in pins where bench.levels.all >> UInt32(pin) & 1 != 0 {
      #expect(bench.entry(pin) & IOAPICBench.remoteIRR != 0)
    }
    _ = bench.processors.takeMessages()
    for pin in pins { bench.chip.endOfInterrupt(vector: UInt8(0x40 + pin)) }
    let vectors = bench.takeVectors()
    #expect(vectors.contains(0x40 + 17))
    #expect(vectors.contains(0x40 + 19))
    #expect(!vectors.contains(0x40 + 16))
  }

  /// A device and a guest that hand a level back and forth: every assertion reaches the guest.
  @Test func everyAssertionIsDeliveredBetweenADeviceAndItsGuest() throws {
    let bench = IOAPICBench()
    bench.setEntry(16, 0x41 | IOAPICBench.level)
    let rounds = 5_000
    let handled = Atomic(0)
    bench.devices.whenAcknowledged { [unowned bench] _ in bench.set(16, false) }
    let guest = try TestThread {
      var done = 0
      while done < rounds {
        for vector in bench.takeVectors() {
          done += 1
          bench.chip.endOfInterrupt(vector: vector)
          handled.store(done, ordering: .releasing)
        }
      }
    }

    for round in 1...rounds {
      bench.set(16, true)
      while handled.load(ordering: .acquiring) < round {}
    }
    guest.join()

    #expect(bench.chip.pins[16].counters.ended == UInt64(rounds))
    #expect(bench.takeVectors() == [])
  }
}
