import HostOS
import Interrupts
import KVM

@testable import Machine

/// A device of a scenario: it raises its interrupt by one eventfd, and is told of the end by another.
struct ScenarioDevice {
  let interrupt: EventFD
  let end: EventFD

  init() throws {
    interrupt = try EventFD()
    end = try EventFD()
  }
}

/// How a scenario's devices reach the guest.
protocol ScenarioEvents {
  /// Binds a device to GSI 16, with its end.
  func assign(_ device: ScenarioDevice) throws
  /// Undoes ``assign(_:)``.
  func deassign(_ device: ScenarioDevice) throws
  /// Sets the level of a line with no eventfds that shares GSI 16.
  func setLine(_ level: Bool) throws
  /// Leads GSI 16 to a pin of the I/O APIC.
  func route(to pin: Int) throws
}

/// KVM's own chips, by its own calls.
struct KernelEvents: ScenarioEvents {
  let vm: VM

  func assign(_ device: ScenarioDevice) throws {
    try vm.assignIRQFD(device.interrupt, gsi: 16, resample: device.end)
  }

  func deassign(_ device: ScenarioDevice) throws {
    try vm.deassignIRQFD(device.interrupt, gsi: 16)
  }

  func setLine(_ level: Bool) throws { try vm.irqLine(16, level: level) }

  func route(to pin: Int) throws {
    try vm.setGSIRouting([.irqchip(gsi: 16, chip: .ioapic, pin: UInt32(pin))])
  }
}

/// A plane of the machine, by the level irqfds and EOIFDs of its router.
struct PlaneEvents: ScenarioEvents {
  private let plane: any MachinePlane
  private let events: InterruptEvents
  private let line: InterruptSource

  init(_ plane: any MachinePlane) throws {
    self.plane = plane
    events = InterruptEvents(plane.router, on: try InterruptEventLoop())
    line = try plane.makeLine(16)
  }

  func assign(_ device: ScenarioDevice) throws {
    let interrupt = device.interrupt.rawValue
    try events.apply(IRQFDRequest(interrupt, gsi: GSI(16), flags: .level))
    try events.apply(EOIFDRequest(device.end.rawValue, irqfd: interrupt))
  }

  func deassign(_ device: ScenarioDevice) throws {
    let interrupt = device.interrupt.rawValue
    try events.apply(
      EOIFDRequest(device.end.rawValue, irqfd: interrupt, flags: [.deassign, .levelIRQFD])
    )
    try events.apply(IRQFDRequest(interrupt, gsi: GSI(16), flags: .deassign))
  }

  func setLine(_ level: Bool) { if level { line.assert() } else { line.deassert() } }

  func route(to pin: Int) throws {
    var table = RoutingTable.pc
    // KVM's chips take one GSI for each pin.
    table.routes[GSI(17)] = nil
    table.routes[GSI(16)] = [.pin(.ioAPIC(pin))]
    try plane.setRoutes(table)
  }
}
