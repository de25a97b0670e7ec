import DeviceModel
import HostOS
import Interrupts
import KVM
import Platform

/// All interrupt controllers in the kernel: KVM's chips, irqfds and ioeventfds.
final class KernelPlane: MachinePlane {
  let router: InterruptRouter
  private let vm: VM
  private let routes: KernelRoutes
  private let loop: InterruptEventLoop
  private let lines: KernelLines
  // Lock order: this one before those of the lines and the routes.
  private let table = PlaneLock(RoutingTable.pc)

  /// Takes over the routing of `vm`, whose interrupt chips exist already.
  init(_ vm: VM) throws {
    self.vm = vm
    routes = try KernelRoutes(vm, pins: Self.pins(of: .pc))
    loop = try InterruptEventLoop()
    router = InterruptRouter(messages: KernelMessages(vm))
    // The kernel takes GSIs and knows their pins: here, each leads to the pin of its own number.
    try router.setRoutes(
      RoutingTable(
        Dictionary(
          uniqueKeysWithValues: (0..<KernelRoutes.pinCount).map {
            (GSI($0), [.pin(.ioAPIC(Int($0)))])
          }
        )
      )
    )
    lines = KernelLines(
      vm,
      levels: router.ioAPICLevels,
      loop: loop,
      acknowledgement: router
    )
    router.connect(ioAPIC: lines, pic: nil, resampling: lines)
  }

  deinit { disconnect() }

  func install(memory: Bus, ports: Bus) {}

  func setRoutes(_ table: RoutingTable) throws {
    try Self.checkPins(of: table)
    let pins = Self.pins(of: table)
    let changed = try self.table.withLock { current in
      let changed = Set(table.routes.keys).union(current.routes.keys)
        .filter { table.routes[$0] != current.routes[$0] }.sorted()
      try lines.reroute(changed) { () throws(KVMError) in try routes.setPins { pins } }
      current = table
      return changed
    }
    router.holdAgain(changed)
  }

  /// Ends of a pin's interrupts are known to one GSI only, that of the last route to it.
  private static func checkPins(of table: RoutingTable) throws(InterruptError) {
    var users: [ControllerPin: GSI] = [:]
    for (gsi, routes) in table.routes.sorted(by: { $0.key < $1.key }) {
      for case .pin(let pin) in routes {
        if let other = users.updateValue(gsi, forKey: pin) {
          throw .invalid("\(other) and \(gsi) lead to the same pin; KVM's chips take one of them")
        }
      }
    }
  }

  private static func pins(of table: RoutingTable) -> [KVMRoute] {
    table.routes.sorted { $0.key < $1.key }.flatMap { gsi, routes in
      routes.map { route in
        switch route {
        case .pin(.ioAPIC(let pin)):
          .irqchip(gsi: gsi.rawValue, chip: .ioapic, pin: UInt32(pin))
        case .pin(.pic(let pin)):
          .irqchip(
            gsi: gsi.rawValue,
            chip: pin < 8 ? .picMaster : .picSlave,
            pin: UInt32(pin & 7)
          )
        case .message(let message):
          .msi(gsi: gsi.rawValue, address: message.address, data: message.data)
        }
      }
    }
  }

  func disconnect() { router.disconnect() }

  func makeProcessorInterrupts(_ index: Int) -> (any ProcessorInterrupts)? { nil }

  func makeResampledLine(_ gsi: UInt32, on events: InterruptEvents) -> any ResampledLine {
    KernelEventLine(GSI(gsi), lines)
  }

  func makeMessageInterrupt() throws -> any MessageInterrupt { try KernelMessage(routes) }

  func attach(_ doorbell: Doorbell, to event: EventFD) throws { try vm.attach(doorbell, to: event) }

  func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    try vm.detach(doorbell, from: event)
  }

  var kernelMessages: [(gsi: GSI, message: InterruptMessage)] { routes.messageRoutes }
  var kernelSources: [GSI: Int] { lines.pairCounts }
  var lineReport: [InterruptRouter.LineReport] {
    let table = table.withLock { $0 }
    let pairs = kernelSources
    return router.report.map { line in
      var line = line
      let count = pairs[line.gsi] ?? 0
      line.sources.total += count
      line.sources.bound += count
      // The router's own routes lead into the kernel.
      if line.gsi.rawValue < KernelRoutes.pinCount { line.routes = table.routes[line.gsi] ?? [] }
      return line
    }
  }

  var chips: InterruptState.Chips {
    get throws {
      let lines = lineReport
      var asserted = Set(lines.filter(\.isAsserted).map(\.gsi))
      var chips = InterruptState.Chips()
      chips.timer = IntervalTimerState(try vm.pitState(), now: MonotonicClock.nanoseconds)
      if chips.timer.lineLevel { asserted.insert(GSI(0)) }
      let levels = table.withLock { $0 }.levels(of: asserted)
      chips.ioAPIC = IOAPICState(try vm.irqChipState(.ioapic), levels: levels.ioAPIC)
      chips.pic = PICPairState(
        primary: try vm.irqChipState(.picMaster),
        secondary: try vm.irqChipState(.picSlave),
        levels: levels.pic
      )
      return chips
    }
  }

  func restore(_ chips: InterruptState.Chips) throws {
    // The timer's line is not among them: KVM's timer lets go of it each time that it has raised it.
    let asserted = Set(lineReport.filter(\.isAsserted).map(\.gsi))
    let levels = table.withLock { $0 }.levels(of: asserted)
    let old = (
      primary: try vm.irqChipState(.picMaster), secondary: try vm.irqChipState(.picSlave)
    )
    let pics = chips.pic.applied(to: old, levels: levels.pic)
    try vm.setPITState(
      chips.timer.applied(to: try vm.pitState(), now: MonotonicClock.nanoseconds)
    )
    // The second first: the first's input 2 is its output.
    try vm.setIRQChipState(pics.secondary)
    try vm.setIRQChipState(pics.primary)
    try vm.setIRQChipState(
      chips.ioAPIC.applied(to: try vm.irqChipState(.ioapic), levels: levels.ioAPIC)
    )
  }

  var chipReport: [String] { (try? vm.chipReport) ?? [] }
}
