import DeviceModel
import HostOS
import Interrupts
import KVM

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

  func makeMessageInterrupt() throws -> any MessageInterrupt { try KernelMessage(routes) }

  func attach(_ doorbell: Doorbell, to event: EventFD) throws { try vm.attach(doorbell, to: event) }

  func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    try vm.detach(doorbell, from: event)
  }

  var kernelMessages: [(gsi: GSI, message: InterruptMessage)] { routes.messageRoutes }
  var chipReport: [String] { (try? vm.chipReport) ?? [] }
}
