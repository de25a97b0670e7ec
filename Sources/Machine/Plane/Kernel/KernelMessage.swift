import DeviceModel
import HostOS
import KVM
import Synchronization

/// One message: a GSI with a route in the kernel, and an eventfd bound to it while it is plugged in.
final class KernelMessage: MessageInterrupt {
  let trigger: EventFD
  private let gsi: UInt32
  private let routes: KernelRoutes
  // Lock order: a message's before the routes'.
  private let isBound = Mutex(false)

  init(_ routes: KernelRoutes) throws {
    self.routes = routes
    trigger = try EventFD()
    gsi = try routes.allocate()
  }

  deinit {
    try? route(to: nil)
    try? routes.set(gsi, to: nil)
    routes.release(gsi)
  }

  func route(to message: InterruptMessage?) throws {
    try isBound.withLock { isBound in
      guard let message else {
        // The route stays: to unmask a vector is then one call and not two.
        if isBound { try routes.vm.deassignIRQFD(trigger, gsi: gsi) }
        isBound = false
        return
      }
      // First the route: what waits in the eventfd is delivered as soon as it is bound.
      try routes.set(gsi, to: message)
      if !isBound { try routes.vm.assignIRQFD(trigger, gsi: gsi) }
      isBound = true
    }
  }
}
