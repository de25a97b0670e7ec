import DeviceModel
import HostOS
import KVM

extension VM {
  /// From now on, writes that match `doorbell` signal `event`.
  func attach(_ doorbell: Doorbell, to event: EventFD) throws(KVMError) {
    try assignIOEventFD(event, Self.trigger(doorbell))
  }

  /// Undoes ``attach(_:to:)``.
  func detach(_ doorbell: Doorbell, from event: EventFD) throws(KVMError) {
    try deassignIOEventFD(event, Self.trigger(doorbell))
  }

  private static func trigger(_ doorbell: Doorbell) -> IOEventTrigger {
    IOEventTrigger(
      doorbell.space == .memory ? .memory : .port,
      address: doorbell.address,
      width: doorbell.width,
      datamatch: doorbell.value
    )
  }
}
