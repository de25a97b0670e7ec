import DeviceModel
import HostOS
import Interrupts
import KVM
import Logging
import Synchronization

/// Pins, messages and doorbells in the kernel: KVM's own chips, irqfds and ioeventfds.
///
/// Any thread may call. GSIs 0 to 23 are the pins of the chips; messages get those above, one each,
/// when they are made.
final class KVMPlane: MachinePlane {
  private struct Routes {
    /// The route of each message by GSI; `nil` for one that is unplugged or free.
    var messages: [UInt32: InterruptMessage] = [:]
    var free: [UInt32] = []
    var next = KVMPlane.pinCount
  }

  /// The pins of the I/O APIC (82093AA, 1.0), and with them the GSIs that are no messages.
  static var pinCount: UInt32 { 24 }

  private let vm: VM
  private let limit: UInt32
  private let logger = Logger(label: "interrupts")
  // Held over the call that replaces the kernel's table: an older table must not overtake a newer.
  private let routes = Mutex(Routes())

  /// Takes over the routing of `vm`, whose interrupt chips exist already.
  init(_ vm: VM) throws(KVMError) {
    self.vm = vm
    // The capability's number is that of the routes; some pins have two.
    let extra = Self.pins.count - Int(Self.pinCount)
    limit = UInt32(clamping: try vm.check(.irqRouting) - extra)
    try vm.setGSIRouting(Self.pins)
  }

  /// How the chips' pins are wired on a PC: IRQ 0 is on pin 2 of the I/O APIC, as the MADT says, and
  /// IRQ 2 is where the second 8259 is attached to the first.
  private static let pins: [KVMRoute] = (0..<pinCount).flatMap { gsi -> [KVMRoute] in
    var routes: [KVMRoute] = []
    if gsi < 16, gsi != 2 {
      routes.append(.irqchip(gsi: gsi, chip: gsi < 8 ? .picMaster : .picSlave, pin: gsi & 7))
    }
    if gsi != 2 { routes.append(.irqchip(gsi: gsi, chip: .ioapic, pin: gsi == 0 ? 2 : gsi)) }
    return routes
  }

  func setLevel(of pin: GSI, asserted: Bool) {
    do throws(KVMError) {
      try vm.irqLine(pin.rawValue, level: asserted)
    } catch {
      // The chips and the pin exist, so the call has no reason to fail; the guest goes on.
      logger.error("\(pin): \(error)")
    }
  }

  func attach(_ doorbell: Doorbell, to event: EventFD) throws {
    try vm.assignIOEventFD(event, Self.trigger(doorbell))
  }

  func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    try vm.deassignIOEventFD(event, Self.trigger(doorbell))
  }

  private static func trigger(_ doorbell: Doorbell) -> IOEventTrigger {
    IOEventTrigger(
      doorbell.space == .memory ? .memory : .port,
      address: doorbell.address,
      width: doorbell.width,
      datamatch: doorbell.value
    )
  }

  func makeMessageInterrupt() throws -> any MessageInterrupt {
    let gsi = routes.withLock { routes -> UInt32? in
      if let gsi = routes.free.popLast() { return gsi }
      guard routes.next < limit else { return nil }
      defer { routes.next += 1 }
      return routes.next
    }
    guard let gsi else {
      throw MachineError.tooManyDevices(
        kind: "message-signalled interrupt",
        limit: max(0, Int(limit) - Int(Self.pinCount))
      )
    }
    do {
      return try Message(gsi, on: self)
    } catch {
      release(gsi)
      throw error
    }
  }

  private func release(_ gsi: UInt32) { routes.withLock { $0.free.append(gsi) } }

  private func setRoute(_ gsi: UInt32, to message: InterruptMessage?) throws(KVMError) {
    try routes.withLock { (routes) throws(KVMError) in
      guard routes.messages[gsi] != message else { return }
      let before = routes.messages[gsi]
      routes.messages[gsi] = message
      do throws(KVMError) {
        try vm.setGSIRouting(
          Self.pins
            + routes.messages.map {
              .msi(gsi: $0.key, address: $0.value.address, data: $0.value.data)
            }
        )
      } catch {
        routes.messages[gsi] = before
        throw error
      }
    }
  }

  /// One message: a GSI with a route, and an eventfd bound to it while it is plugged in.
  private final class Message: MessageInterrupt {
    let trigger: EventFD
    private let gsi: UInt32
    private let plane: KVMPlane
    // Lock order: a message's before the plane's routes.
    private let isBound = Mutex(false)

    init(_ gsi: UInt32, on plane: KVMPlane) throws(SystemError) {
      trigger = try EventFD()
      self.gsi = gsi
      self.plane = plane
    }

    deinit {
      try? route(to: nil)
      try? plane.setRoute(gsi, to: nil)
      plane.release(gsi)
    }

    func route(to message: InterruptMessage?) throws {
      try isBound.withLock { isBound in
        guard let message else {
          // The route stays: to unmask a vector is then one call and not two.
          if isBound { try plane.vm.deassignIRQFD(trigger, gsi: gsi) }
          isBound = false
          return
        }
        // First the route: what waits in the eventfd is delivered as soon as it is bound.
        try plane.setRoute(gsi, to: message)
        if !isBound { try plane.vm.assignIRQFD(trigger, gsi: gsi) }
        isBound = true
      }
    }
  }
}
