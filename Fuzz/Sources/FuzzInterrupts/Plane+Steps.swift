import DeviceModel
import FuzzSupport
import Interrupts
import Platform

/// What a script can do.
extension Plane {
  func step(_ script: inout Script) {
    let code = script.byte()
    let apic = apics[Int(code >> 5) % Self.processorCount]
    switch code & 0x1F {
    case 0: _ = ioAPIC.read(access(&script, [0, 0x10, 0x40]))
    case 1, 2: access(&script, [0, 0x10, 0x40]) { ioAPIC.write($0, $1) }
    case 3: redirect(&script)
    case 4: ioAPIC.endOfInterrupt(vector: script.byte())
    case 5: _ = apic.read(access(&script, pageOffsets))
    case 6, 7: access(&script, pageOffsets) { apic.write($0, $1) }
    case 8: _ = try? apic.readMSR(0x7F0 + UInt32(script.word16() & 0x1FF))
    case 9: try? apic.writeMSR(0x7F0 + UInt32(script.word16() & 0x1FF), script.word64())
    case 10: writeBase(apic, &script)
    case 11: apic.tscDeadline = UInt64(script.word32()) << 4
    case 12: apic.cr8 = script.word64()
    case 13: _ = pic.read(portAccess(&script, count: 3))
    case 14, 15: pic.write(script.word64(), portAccess(&script, count: 3))
    case 16: _ = timer.read(portAccess(&script, count: 2))
    case 17: timer.write(script.word64(), portAccess(&script, count: 2))
    case 18: if devices.count < 8 { add(gsi(&script)) }
    case 19...21: change(&script)
    case 22: changeRoutes(&script)
    case 23: router.pulse(gsi(&script))
    case 24: acknowledge(apic)
    case 25: end(apic)
    case 26: advance(UInt64(script.word16()) * 1000)
    case 27: takeEvents(apic)
    case 28: apics.deliver(message(&script))
    case 29: initialize(&script)
    case 30: putBack(apic, &script)
    default:
      switch script.byte() & 3 {
      case 0: apics.raiseNMI()
      case 1: apic.initialize()
      case 2: apic.reset()
      default:
        let counter = TimestampCounter(
          frequency: UInt64(script.word32()) + 1,
          value: script.word64(),
          moment: clock.monotonic
        )
        apic.setTimestampCounter(counter)
      }
    }
    check()
  }

  private var pageOffsets: [UInt64] {
    [0x80, 0xB0, 0xD0, 0xE0, 0xF0, 0x280, 0x300, 0x310, 0x320, 0x350, 0x360, 0x370, 0x380, 0x3E0]
  }

  /// An access at one of `usual`, or anywhere.
  private func access(_ script: inout Script, _ usual: [UInt64]) -> BusAccess {
    let choice = script.byte()
    let index = Int(choice & 0x1F)
    let offset = index < usual.count ? usual[index] : UInt64(script.word16() & 0xFFF)
    // Bit 7 stands for what guests do.
    return BusAccess(offset: offset, width: choice & 0x80 == 0 ? 4 : 1 << Int(choice >> 5 & 3))
  }

  private func access(
    _ script: inout Script,
    _ usual: [UInt64],
    _ write: (UInt64, BusAccess) -> Void
  ) {
    let access = access(&script, usual)
    let value = access.width == 8 ? script.word64() : UInt64(script.word32())
    write(value & UInt64.max >> UInt64(64 - 8 * access.width), access)
  }

  private func portAccess(_ script: inout Script, count: UInt8) -> BusAccess {
    let choice = script.byte()
    let width = choice & 0x80 == 0 ? 1 : 1 << Int(choice >> 5 & 3)
    return BusAccess(
      region: Int((choice & 3) % count),
      offset: UInt64(choice >> 2 & 7),
      width: width
    )
  }

  private func gsi(_ script: inout Script) -> GSI {
    let number = script.byte()
    return GSI(number < 0xF0 ? UInt32(number % 26) : 4000 + UInt32(number))
  }

  private func message(_ script: inout Script) -> InterruptMessage {
    let bits = script.word32()
    let address: UInt64 = bits >> 31 == 0 ? 0xFEE0_0000 | UInt64(bits & 0xF_FFFF) : UInt64(bits)
    return InterruptMessage(address: address, data: UInt32(script.word16()) ^ 0xC000)
  }

  /// Writes a whole entry of the redirection table, as a guest does.
  private func redirect(_ script: inout Script) {
    let pin = UInt64(script.byte() % 24)
    let low = UInt64(script.byte()) | UInt64(script.byte()) << 8 | UInt64(script.byte() & 1) << 16
    let high = UInt64(script.byte() & 3) << 24
    redirect(pin: pin, low, high)
  }

  private func writeBase(_ apic: LocalAPIC, _ script: inout Script) {
    let choice = script.byte()
    let mode = UInt64(choice & 3) << 10 | UInt64(choice >> 2 & 1) << 8
    let other: UInt64 = choice & 0x80 == 0 ? 0xFEE0_0000 : script.word64()
    let before = apic.base
    do { try apic.writeBase(other | mode) } catch {
      require(apic.base == before, "refused, and another base")
    }
  }

  private func change(_ script: inout Script) {
    guard !devices.isEmpty else { return }
    let choice = script.byte()
    let index = Int(choice & 7) % devices.count
    let device = devices[index]
    switch choice >> 3 & 7 {
    case 0: devices.remove(at: index)
    case 1: bind(device, true)
    case 2: bind(device, false)
    case 3: device.insists.toggle()
    case 4, 5:
      // Before the call: the interrupt may end within it, where the 8259s end it by themselves.
      device.isAsserted = true
      device.source.assert()
    default:
      device.isAsserted = false
      device.source.deassert()
    }
  }

  private func changeRoutes(_ script: inout Script) {
    let choice = script.byte()
    guard choice >= 0x20 else {
      return set(choice & 1 == 0 ? .pc : RoutingTable([gsi(&script): route(&script)]))
    }
    set(route(&script), of: gsi(&script))
  }

  private func route(_ script: inout Script) -> [InterruptRoute] {
    (0..<script.byte() % 3).map { _ in
      let choice = script.byte()
      switch choice & 3 {
      case 0, 1: return .pin(.ioAPIC(Int(choice >> 2) % 25))
      case 2: return .pin(.pic(Int(choice >> 2) % 17))
      default: return .message(message(&script))
      }
    }
  }

  /// What every guest does first: the 8259s' four words, and a local APIC that is switched on.
  private func initialize(_ script: inout Script) {
    let choice = script.byte()
    for (region, words) in [(0, [0x11, 0x20, 4]), (1, [0x11, 0x28, 2])] as [(Int, [UInt64])] {
      for (index, word) in (words + [UInt64(choice & 0x1F)]).enumerated() {
        pic.write(word, BusAccess(region: region, offset: index == 0 ? 0 : 1, width: 1))
      }
    }
    apics[Int(choice >> 5) % Self.processorCount].write(0x1FF, BusAccess(offset: 0xF0, width: 4))
  }

  private func takeEvents(_ apic: LocalAPIC) {
    let events = apic.takeEvents()
    require(apic.takeEvents().isEmpty, "events twice")
    if events.initReceived { apic.initialize() }
  }

  func advance(_ nanoseconds: UInt64) {
    let before = clock.expiries
    clock.advance(nanoseconds: nanoseconds)
    // One-shots, and then what periods may cost at most.
    let limit = 8 + 3 * nanoseconds / 20_000 + nanoseconds / IntervalTimer.shortestPeriod
    require(clock.expiries - before <= limit, "\(clock.expiries - before) expiries")
  }
}
