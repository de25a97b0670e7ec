import DeviceModel
import HostOS
import Interrupts

/// A plane with no guest behind it, for a machine that is described and not run.
final class DetachedPlane: MachinePlane {
  func setLevel(of pin: GSI, asserted: Bool) {}
  func attach(_ doorbell: Doorbell, to event: EventFD) {}
  func detach(_ doorbell: Doorbell, from event: EventFD) {}
  func makeMessageInterrupt() throws -> any MessageInterrupt { try Message() }

  private final class Message: MessageInterrupt {
    let trigger: EventFD
    init() throws(SystemError) { trigger = try EventFD() }
    func route(to message: InterruptMessage?) {}
  }
}
