import DeviceModel
import HostOS
import Interrupts

/// A plane with no guest behind it, for a machine that is described and not run.
final class DetachedPlane: MachinePlane {
  let router = InterruptRouter(messages: Nobody())

  func install(memory: Bus, ports: Bus) {}
  func setRoutes(_ routes: RoutingTable) throws { try router.setRoutes(routes) }
  func disconnect() {}
  func makeProcessorInterrupts(_ index: Int) -> (any ProcessorInterrupts)? { nil }
  var chipReport: [String] { [] }
  var chips: InterruptState.Chips { InterruptState.Chips() }
  func restore(_ chips: InterruptState.Chips) {}

  func attach(_ doorbell: Doorbell, to event: EventFD) {}
  func detach(_ doorbell: Doorbell, from event: EventFD) {}
  func makeMessageInterrupt() throws -> any MessageInterrupt { try Message() }

  private final class Message: MessageInterrupt {
    let trigger: EventFD
    init() throws(SystemError) { trigger = try EventFD() }
    func route(to message: InterruptMessage?) {}
  }

  private final class Nobody: MessageTarget {
    func deliver(_ message: InterruptMessage) -> InterruptDelivery { .ignored }
  }
}
