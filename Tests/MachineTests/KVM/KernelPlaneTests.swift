import DeviceModel
import HostOS
import Interrupts
import KVM
import TestSupport
import Testing

@testable import Machine

/// Pins and messages as the kernel's chips see them; no guest runs.
///
/// A message's last use must not be its end, since one that is released is not delivered.
@Suite(KVMDevice.required, .serialized) struct KernelPlaneTests {
  let vm: VM
  let vcpu: VCPU
  let plane: KernelPlane

  init() throws {
    vm = try KVMSystem().makeVM()
    try vm.createIRQChip()
    plane = try KernelPlane(vm)
    vcpu = try vm.makeVCPU(0)
    // SDM volume 3A, 11.9: a local APIC that is not enabled takes nothing.
    var apic = try vcpu.localAPIC()
    apic[0xF0] = 0x1FF
    try vcpu.setLocalAPIC(apic)
  }

  /// The requests that a chip holds: bits of struct kvm_pic_state.irr or of struct kvm_ioapic_state.irr.
  func requests(of chip: IRQChip) throws -> UInt32 {
    let bytes = try vm.irqChipState(chip).bytes
    guard chip == .ioapic else { return UInt32(bytes[1]) }
    return bytes[16..<20].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// Whether the local APIC holds a request for `vector` (SDM volume 3A, 11.8.4).
  func isRequested(_ vector: UInt8) throws -> Bool {
    let offset = 0x200 + Int(vector / 32) * 0x10
    return try vcpu.localAPIC()[offset] & 1 << (vector % 32) != 0
  }

  /// Forgets what the local APIC holds.
  func forgetRequests() throws {
    var apic = try vcpu.localAPIC()
    for index in 0..<8 { apic[0x200 + index * 0x10] = 0 }
    try vcpu.setLocalAPIC(apic)
  }

  static func message(_ vector: UInt8) -> InterruptMessage {
    InterruptMessage(address: 0xFEE0_0000, data: UInt32(vector))
  }

  /// IRQ 0 is on pin 2 of the I/O APIC; nothing is on IRQ 2 (the MADT's override).
  @Test(
    arguments: [
      (0, 1 << 0, 0, 1 << 2), (1, 1 << 1, 0, 1 << 1), (2, 0, 0, 0), (4, 1 << 4, 0, 1 << 4),
      (8, 1 << 2, 1 << 0, 1 << 8), (9, 1 << 2, 1 << 1, 1 << 9), (16, 0, 0, 1 << 16),
      (23, 0, 0, 1 << 23),
    ] as [(UInt32, UInt32, UInt32, UInt32)]
  )
  func aPinReachesItsChips(gsi: UInt32, master: UInt32, slave: UInt32, ioapic: UInt32) throws {
    let line = try plane.makeLine(gsi)
    line.assert()

    #expect(try requests(of: .picSlave) == slave)
    // The slave's request shows at the master's input 2, if its mask lets it through.
    #expect(try requests(of: .picMaster) | 1 << 2 == master | 1 << 2)
    #expect(try requests(of: .ioapic) == ioapic)

    line.deassert()
    #expect(try requests(of: .ioapic) == 0)
  }

  @Test func twoDevicesOnOnePinKeepItHigh() throws {
    let first = try plane.makeLine(20)
    let second = try plane.makeLine(20)

    first.assert()
    second.assert()
    first.deassert()
    #expect(try requests(of: .ioapic) == 1 << 20)

    second.deassert()
    #expect(try requests(of: .ioapic) == 0)
  }

  @Test func aLineThatIsUpFollowsItsRoute() throws {
    let line = try plane.makeLine(20)
    let other = try plane.makeLine(18)
    line.assert()
    other.assert()
    var table = RoutingTable.pc
    table.routes[GSI(20)] = [.pin(.ioAPIC(21))]
    table.routes[GSI(21)] = nil

    try plane.setRoutes(table)
    #expect(try requests(of: .ioapic) == 1 << 21 | 1 << 18)

    line.deassert()
    #expect(try requests(of: .ioapic) == 1 << 18)
    try plane.setRoutes(.pc)
    line.assert()
    #expect(try requests(of: .ioapic) == 1 << 20 | 1 << 18)
  }

  @Test func aLineOfAnotherProcessFollowsItsRouteAndAsksForItsLevel() throws {
    let line = plane.makeResampledLine(
      20,
      on: InterruptEvents(plane.router, on: try InterruptEventLoop())
    )
    let (event, resample) = (try EventFD(), try EventFD())
    try line.connect(event, resample: resample)
    event.signal()
    #expect(try waitUntil { try requests(of: .ioapic) == 1 << 20 })
    var table = RoutingTable.pc
    table.routes[GSI(20)] = [.pin(.ioAPIC(21))]
    table.routes[GSI(21)] = nil

    try plane.setRoutes(table)

    #expect(try requests(of: .ioapic) == 0)
    #expect(resample.drain() == 1)
    event.signal()
    #expect(try waitUntil { try requests(of: .ioapic) == 1 << 21 })
    line.disconnect()
    #expect(try requests(of: .ioapic) == 0)
    event.signal()
    #expect(event.drain() == 1)
    #expect(try requests(of: .ioapic) == 0)
  }

  /// Nobody here is woken for it, but who looks at the interrupts finds it.
  @Test func aLineOfAnotherProcessIsShown() throws {
    func sources() -> [String] {
      InterruptReport(mode: .kernel, plane: plane).text.split(separator: "\n")
        .filter { $0.contains("GSI 20:") }
        .map { String($0.split(separator: ";")[0]) }
    }
    let line = plane.makeResampledLine(
      20,
      on: InterruptEvents(plane.router, on: try InterruptEventLoop())
    )
    #expect(sources() == ["  GSI 20: low, 0 of 0 sources asserted, 0 bound"])
    let (event, resample) = (try EventFD(), try EventFD())
    try line.connect(event, resample: resample)
    #expect(sources() == ["  GSI 20: low, 0 of 1 sources asserted, 1 bound"])
    let saved = try #require(plane.lineReport.first { $0.gsi == GSI(20) })
    #expect(saved.sources.total == 1 && saved.sources.bound == 1)
    line.disconnect()
    #expect(sources() == ["  GSI 20: low, 0 of 0 sources asserted, 0 bound"])
  }

  @Test func aDeviceThatIsAssertedUntilTheEndFollowsItsRoute() throws {
    let source = try plane.makeLine(20)
    try source.bind {}
    source.assert()
    #expect(try waitUntil { try requests(of: .ioapic) == 1 << 20 })
    var table = RoutingTable.pc
    table.routes[GSI(20)] = [.pin(.ioAPIC(21))]
    table.routes[GSI(21)] = nil

    try plane.setRoutes(table)

    #expect(try waitUntil { try requests(of: .ioapic) == 1 << 21 })
    source.deassert()
    #expect(try requests(of: .ioapic) == 0)
  }

  @Test func routesThatTheKernelCannotTakeAreRefusedAndNothingChanges() throws {
    let line = try plane.makeLine(20)
    line.assert()
    var table = RoutingTable.pc
    table.routes[GSI(20)] = [.pin(.ioAPIC(21))]
    #expect(throws: InterruptError.self) { try plane.setRoutes(table) }
    table.routes[GSI(21)] = [.pin(.ioAPIC(22)), .pin(.ioAPIC(20))]
    table.routes[GSI(22)] = nil
    #expect(throws: KVMError.self) { try plane.setRoutes(table) }
    #expect(try requests(of: .ioapic) == 1 << 20)
  }

  @Test func aMessageIsDeliveredWhenItIsSignalled() throws {
    let message = try plane.makeMessageInterrupt()
    defer { withExtendedLifetime(message) {} }
    try message.route(to: Self.message(0x41))
    #expect(try !isRequested(0x41))

    message.trigger.signal()

    #expect(try waitUntil { try isRequested(0x41) })
  }

  /// A vector that is masked while its device signals is pending, and delivered at the unmasking.
  @Test func whatWasSignalledBeforeTheRoutingIsDeliveredAfterIt() throws {
    let message = try plane.makeMessageInterrupt()
    defer { withExtendedLifetime(message) {} }
    message.trigger.signal()

    try message.route(to: Self.message(0x42))

    #expect(try waitUntil { try isRequested(0x42) })
  }

  @Test func anUnpluggedMessageWaitsForItsNextRoute() throws {
    let message = try plane.makeMessageInterrupt()
    defer { withExtendedLifetime(message) {} }
    try message.route(to: Self.message(0x43))
    try message.route(to: nil)

    message.trigger.signal()
    #expect(try !waitUntil(seconds: 0) { try isRequested(0x43) })
    try message.route(to: Self.message(0x44))

    #expect(try waitUntil { try isRequested(0x44) })
    #expect(try !isRequested(0x43))
  }

  @Test func aRouteMayChangeWhileItIsPluggedIn() throws {
    let message = try plane.makeMessageInterrupt()
    defer { withExtendedLifetime(message) {} }
    try message.route(to: Self.message(0x45))
    try message.route(to: Self.message(0x46))
    try message.route(to: Self.message(0x46))

    message.trigger.signal()

    #expect(try waitUntil { try isRequested(0x46) })
    #expect(try !isRequested(0x45))
  }

  @Test func unpluggingTwiceIsOnce() throws {
    let message = try plane.makeMessageInterrupt()
    defer { withExtendedLifetime(message) {} }
    try message.route(to: nil)
    try message.route(to: Self.message(0x47))
    try message.route(to: nil)
    try message.route(to: nil)
    try message.route(to: Self.message(0x47))

    message.trigger.signal()

    #expect(try waitUntil { try isRequested(0x47) })
  }

  @Test func messagesDoNotDisturbOneAnother() throws {
    let messages = try (0..<32).map { _ in try plane.makeMessageInterrupt() }
    defer { withExtendedLifetime(messages) {} }
    for (index, message) in messages.enumerated() {
      try message.route(to: Self.message(0x60 + UInt8(index)))
    }

    messages[5].trigger.signal()
    messages[30].trigger.signal()

    #expect(try waitUntil { try isRequested(0x65) && isRequested(0x7E) })
    let others = try (0x60..<0x80).filter { try isRequested(UInt8($0)) }
    #expect(others == [0x65, 0x7E])
  }

  /// A message that is gone leaves its number to the next, and nothing of its route.
  @Test func aReleasedMessageIsNotDelivered() throws {
    var old: (any MessageInterrupt)? = try plane.makeMessageInterrupt()
    try old?.route(to: Self.message(0x48))
    let trigger = try #require(old?.trigger)
    old = nil

    trigger.signal()
    let new = try plane.makeMessageInterrupt()
    defer { withExtendedLifetime(new) {} }
    new.trigger.signal()
    try new.route(to: Self.message(0x49))

    #expect(old == nil)
    #expect(try waitUntil { try isRequested(0x49) })
    #expect(try !isRequested(0x48))
  }

  @Test func moreMessagesThanTheKernelRoutesAreRefusedWhenMade() throws {
    var messages: [any MessageInterrupt] = []
    defer { withExtendedLifetime(messages) {} }
    let limit = try vm.check(.irqRouting)
    // A descriptor each; a host that has fewer of them says so.
    let error = #expect(throws: (any Error).self) {
      for _ in 0..<limit { messages.append(try plane.makeMessageInterrupt()) }
    }
    #expect(error is MachineError || error is SystemError)

    // The last that was made can have a route, beside those of the pins.
    try messages.last?.route(to: Self.message(0x4A))
    messages.last?.trigger.signal()
    #expect(try messages.isEmpty || waitUntil { try isRequested(0x4A) })
  }

  @Test func doorbellsAreHungAndTakenDown() throws {
    let event = try EventFD()
    let doorbell = Doorbell(address: 0xC000_0000, width: 4, value: 1)

    try plane.attach(doorbell, to: event)
    #expect(throws: KVMError.self) { try plane.attach(doorbell, to: event) }
    try plane.detach(doorbell, from: event)
    #expect(throws: KVMError.self) { try plane.detach(doorbell, from: event) }
    try plane.attach(doorbell, to: event)
    try plane.detach(doorbell, from: event)
  }
}
