import CLinux
public import HostOS

extension VM {
  /// From now on, guest writes that match `trigger` signal `event` and nothing else happens.
  public func assignIOEventFD(_ event: EventFD, _ trigger: IOEventTrigger) throws(KVMError) {
    try changeIOEventFD(event, trigger, assign: true)
  }

  /// Undoes ``assignIOEventFD(_:_:)`` with the same arguments.
  public func deassignIOEventFD(_ event: EventFD, _ trigger: IOEventTrigger) throws(KVMError) {
    try changeIOEventFD(event, trigger, assign: false)
  }

  private func changeIOEventFD(
    _ event: EventFD,
    _ trigger: IOEventTrigger,
    assign: Bool
  ) throws(KVMError) {
    var raw = kvm_ioeventfd()
    raw.addr = trigger.address
    raw.len = UInt32(trigger.width)
    raw.fd = event.rawValue
    // The flags are macros over an enum, which Swift does not import.
    if let datamatch = trigger.datamatch {
      raw.datamatch = datamatch
      raw.flags |= 1 << UInt32(kvm_ioeventfd_flag_nr_datamatch)
    }
    if trigger.space == .port { raw.flags |= 1 << UInt32(kvm_ioeventfd_flag_nr_pio) }
    if !assign { raw.flags |= 1 << UInt32(kvm_ioeventfd_flag_nr_deassign) }
    try descriptor.perform(
      .ioEventFD,
      with: &raw,
      "\(assign ? "assign" : "deassign") descriptor \(event.rawValue), \(trigger.space) "
        + "\(hexadecimal(trigger.address)), width \(trigger.width)"
        + (trigger.datamatch.map { ", data \(hexadecimal($0))" } ?? "")
    )
  }
}
