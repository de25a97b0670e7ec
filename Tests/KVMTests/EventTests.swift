import GuestMemory
import HostOS
import KVM
import TestSupport
import Testing

/// Eventfds to and from the guest, and interrupts.
@Suite(KVMDevice.required, .serialized) struct EventTests {
  static let messageAddress: UInt64 = 0xFEE0_0000
  static let ready = VCPUExit.port(.init(isWrite: true, port: 0x80, width: 1))
  static let handled = VCPUExit.port(.init(isWrite: true, port: 0x81, width: 1))

  @Test(arguments: [
    IOEventTrigger(.port, address: 0x500, width: 2),
    IOEventTrigger(.port, address: 0x500, width: 0),
    IOEventTrigger(.port, address: 0x500, width: 2, datamatch: 0x1234),
  ])
  func aPortWriteSignalsItsEventWithNoExit(trigger: IOEventTrigger) throws {
    let guest = try TinyGuest(.real, GuestCode.outWord)
    let event = try EventFD()
    try guest.vm.assignIOEventFD(event, trigger)

    #expect(try guest.next() == .hlt)

    #expect(event.drain() == 1)
  }

  @Test(arguments: [
    IOEventTrigger(.port, address: 0x500, width: 2, datamatch: 0x1235),
    IOEventTrigger(.port, address: 0x500, width: 1),
    IOEventTrigger(.port, address: 0x502, width: 2),
  ])
  func aPortWriteThatDoesNotMatchIsAnExit(trigger: IOEventTrigger) throws {
    let guest = try TinyGuest(.real, GuestCode.outWord)
    let event = try EventFD()
    try guest.vm.assignIOEventFD(event, trigger)

    #expect(try guest.next() == .port(.init(isWrite: true, port: 0x500, width: 2)))

    #expect(guest.vcpu.portItem(0) == 0x1234)
    #expect(event.drain() == 0)
  }

  @Test(arguments: [
    IOEventTrigger(.memory, address: 0xD000_0000, width: 4),
    IOEventTrigger(.memory, address: 0xD000_0000, width: 0),
    IOEventTrigger(.memory, address: 0xD000_0000, width: 4, datamatch: 7),
  ])
  func aMemoryWriteSignalsItsEventWithNoExit(trigger: IOEventTrigger) throws {
    let guest = try TinyGuest(.long, GuestCode.storeSeven)
    let event = try EventFD()
    try guest.vm.assignIOEventFD(event, trigger)

    #expect(try guest.next() == .hlt)

    #expect(event.drain() == 1)
  }

  @Test(arguments: [
    IOEventTrigger(.memory, address: 0xD000_0000, width: 4, datamatch: 8),
    IOEventTrigger(.memory, address: 0xD000_0000, width: 2),
    IOEventTrigger(.port, address: 0xD000_0000, width: 4),
  ])
  func aMemoryWriteThatDoesNotMatchIsAnExit(trigger: IOEventTrigger) throws {
    let guest = try TinyGuest(.long, GuestCode.storeSeven)
    let event = try EventFD()
    try guest.vm.assignIOEventFD(event, trigger)

    let expected = VCPUExit.MMIO(address: 0xD000_0000, width: 4, isWrite: true, value: 7)
    #expect(try guest.next() == .mmio(expected))

    #expect(event.drain() == 0)
  }

  @Test func afterDeassignmentTheWriteIsAnExitAgain() throws {
    let guest = try TinyGuest(.real, GuestCode.outWord)
    let event = try EventFD()
    let trigger = IOEventTrigger(.port, address: 0x500, width: 2, datamatch: 0x1234)
    try guest.vm.assignIOEventFD(event, trigger)
    try guest.vm.deassignIOEventFD(event, trigger)

    #expect(try guest.next() == .port(.init(isWrite: true, port: 0x500, width: 2)))
  }

  @Test func deassigningWhatWasNotAssignedIsNamed() throws {
    let vm = try KVMSystem().makeVM()
    let event = try EventFD()
    let trigger = IOEventTrigger(.port, address: 0x500, width: 2, datamatch: 0x12)

    let error = #expect(throws: KVMError.self) { try vm.deassignIOEventFD(event, trigger) }

    #expect(
      error?.description
        == "KVM_IOEVENTFD deassign descriptor \(event.rawValue), port 0x500, width 2, data 0x12: "
        + "No such file or directory (errno 2)"
    )
  }

  @Test func aSignalledEventDeliversTheMessageOfItsRoute() throws {
    let guest = try waiting { try $0.createIRQChip() }
    let event = try EventFD()
    try guest.vm.setGSIRouting([.msi(gsi: 30, address: Self.messageAddress, data: 0x41)])
    try guest.vm.assignIRQFD(event, gsi: 30)
    #expect(try guest.next() == Self.ready)

    event.signal()

    #expect(try guest.next() == Self.handled)
  }

  @Test func aSignalledEventFollowsAChangedRoute() throws {
    let guest = try waiting(vector: 0x52) { try $0.createIRQChip() }
    let event = try EventFD()
    try guest.vm.setGSIRouting([.msi(gsi: 30, address: Self.messageAddress, data: 0x41)])
    try guest.vm.assignIRQFD(event, gsi: 30)
    #expect(try guest.next() == Self.ready)

    try guest.vm.setGSIRouting([.msi(gsi: 30, address: Self.messageAddress, data: 0x52)])
    event.signal()

    #expect(try guest.next() == Self.handled)
  }

  @Test func afterDeassignmentTheEventKeepsItsCount() throws {
    let vm = try KVMSystem().makeVM()
    try vm.createIRQChip()
    let event = try EventFD()
    try vm.setGSIRouting([.msi(gsi: 30, address: Self.messageAddress, data: 0x41)])
    try vm.assignIRQFD(event, gsi: 30)
    try vm.deassignIRQFD(event, gsi: 30)

    event.signal()

    #expect(event.drain() == 1)
  }

  @Test func aMessageReachesItsHandler() throws {
    let guest = try waiting { try $0.createIRQChip() }
    #expect(try guest.next() == Self.ready)

    #expect(try guest.vm.signalMSI(address: Self.messageAddress, data: 0x41))

    #expect(try guest.next() == Self.handled)
  }

  @Test func aRaisedLineReachesThePinsHandler() throws {
    let guest = try waiting { try $0.createIRQChip() }
    var ioapic = try guest.vm.irqChipState(.ioapic)
    ioapic[redirectionEntry: 20] = 0x41
    try guest.vm.setIRQChipState(ioapic)
    #expect(try guest.next() == Self.ready)

    try guest.vm.irqLine(20, level: true)
    try guest.vm.irqLine(20, level: false)

    #expect(try guest.next() == Self.handled)
  }

  @Test func aRaisedLineFollowsTheStandardRoutesGivenAgain() throws {
    let guest = try waiting { try $0.createIRQChip() }
    var ioapic = try guest.vm.irqChipState(.ioapic)
    ioapic[redirectionEntry: 20] = 0x41
    try guest.vm.setIRQChipState(ioapic)
    let message = KVMRoute.msi(gsi: 30, address: Self.messageAddress, data: 0x52)
    try guest.vm.setGSIRouting(KVMRoute.standard + [message])
    #expect(try guest.next() == Self.ready)

    try guest.vm.irqLine(20, level: true)

    #expect(try guest.next() == Self.handled)
  }

  @Test func aLevelEventIsToldOfTheEndOfItsInterrupt() throws {
    let guest = try waiting { try $0.createIRQChip() }
    var ioapic = try guest.vm.irqChipState(.ioapic)
    ioapic[redirectionEntry: 20] = 0x8041
    try guest.vm.setIRQChipState(ioapic)
    let (event, resample) = (try EventFD(), try EventFD())
    try guest.vm.assignIRQFD(event, gsi: 20, resample: resample)
    #expect(try guest.next() == Self.ready)

    event.signal()
    #expect(try guest.next() == Self.handled)

    // A software KVM ends the interrupt as it delivers it; others when the handler says so, which
    // is over when a second interrupt is handled.
    #expect(try guest.vm.signalMSI(address: Self.messageAddress, data: 0x41))
    #expect(try guest.next() == Self.handled)
    #expect(resample.drain() >= 1)
  }

  @Test func theEndOfALevelMessageIsAnExitWithASplitController() throws {
    let guest = try waiting { try $0.enableSplitIRQChip(pins: 24) }
    try guest.vm.setGSIRouting([.msi(gsi: 5, address: Self.messageAddress, data: 0xC041)])
    #expect(try guest.next() == Self.ready)

    try guest.vm.irqLine(5, level: true)

    // A software KVM ends the interrupt as it delivers it, so either may come first.
    let exits = [try guest.next(), try guest.next()]
    #expect(exits.contains(Self.handled))
    #expect(exits.contains(.ioapicEOI(vector: 0x41)))
  }

  @Test func anInterruptIsInjectedOnceTheWindowIsOpen() throws {
    let guest = try TinyGuest(.real, GuestCode.openWindow)
    try guest.memory.write(GuestCode.realHandler, at: GuestAddress(TinyGuest.handlerAddress))
    // The real-mode vector table has offset and segment of each handler.
    try guest.memory.store32(UInt32(TinyGuest.handlerAddress), at: GuestAddress(0x20 * 4))
    #expect(try guest.next() == Self.ready)
    #expect(!guest.vcpu.interruptFlag)

    guest.vcpu.requestsInterruptWindow = true
    #expect(try guest.next() == .irqWindowOpen)
    #expect(guest.vcpu.canInjectInterrupt)
    guest.vcpu.requestsInterruptWindow = false
    try guest.vcpu.inject(0x20)

    #expect(try guest.next() == Self.handled)
  }

  @Test func aNonMaskableInterruptReachesItsHandler() throws {
    let guest = try waiting(vector: 2) { try $0.createIRQChip() }
    #expect(try guest.next() == Self.ready)

    try guest.vcpu.injectNMI()

    #expect(try guest.next() == Self.handled)
  }

  /// A guest that waits for interrupts, with a handler for `vector`.
  private func waiting(
    vector: UInt8 = 0x41,
    configure: (VM) throws -> Void
  ) throws -> TinyGuest {
    let guest = try TinyGuest(.long, GuestCode.waitForInterrupts, configure: configure)
    try guest.setHandler(GuestCode.handler, for: vector)
    return guest
  }
}
