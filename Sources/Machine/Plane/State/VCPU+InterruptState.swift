import Interrupts
import KVM

/// What KVM has of a processor's interrupts; for whoever the vCPU belongs to at the time.
extension VCPU {
  private enum Register {
    static var timestampCounter: UInt32 { 0x10 }
    static var timestampDeadline: UInt32 { 0x6E0 }
  }

  /// The state of the local APIC in the kernel, and of what is on its way to the processor.
  func interruptState() throws(KVMError) -> InterruptState.Processor {
    // First: it takes INIT and start-up interrupts that wait, which nothing else would show (api.rst, 4.38).
    let activity = try mpState()
    var state = try interruptsUnderWay()
    state.activity =
      switch activity {
      case .halted: .halted
      case .uninitialized, .initReceived: .waitingForStartUp
      default: .running
      }
    // A KVM that has no deadlines reads none.
    let deadline = (try? msrs([Register.timestampDeadline]))?.first?.value ?? 0
    state.localAPIC = LocalAPIC.State(
      try localAPIC(),
      base: try specialRegisters().apicBase,
      timestampDeadline: deadline
    )
    return state
  }

  /// Interrupts that were handed to the processor and whose handlers have not begun (api.rst, 4.31), in every mode.
  func interruptsUnderWay() throws(KVMError) -> InterruptState.Processor {
    let events = try events()
    var state = InterruptState.Processor()
    if events.interrupt.isInjected, !events.interrupt.isSoftware {
      state.injected = events.interrupt.vector
    }
    state.isNMIInjected = events.nmi.isInjected
    state.isNMIPending = events.nmi.isPending
    state.isNMIMasked = events.nmi.isMasked
    state.timestampCounter = try msrs([Register.timestampCounter]).first?.value ?? 0
    return state
  }

  /// Puts a processor's state into the kernel's local APIC; the vCPU's registers and counter are set already.
  func restore(_ state: InterruptState.Processor) throws(KVMError) {
    // The base first, since the registers are taken as those of its mode.
    var special = try specialRegisters()
    special.apicBase = state.localAPIC.base
    try setSpecialRegisters(special)
    try setLocalAPIC(state.localAPIC.applied(to: try localAPIC(), id: id))
    // The deadline last: without the timer's mode KVM ignores it.
    if state.localAPIC.timestampDeadline != 0 {
      try setMSRs([
        MSREntry(index: Register.timestampDeadline, value: state.localAPIC.timestampDeadline)
      ])
    }
    try restoreUnderWay(state)
    let activity: MPState =
      switch state.activity {
      case .running: .runnable
      case .halted: .halted
      case .waitingForStartUp: .uninitialized
      }
    try setMPState(activity)
  }

  /// Puts back what ``interruptsUnderWay()`` told of; in every mode.
  func restoreUnderWay(_ state: InterruptState.Processor) throws(KVMError) {
    var events = try events()
    events.interrupt.isInjected = state.injected != nil
    events.interrupt.isSoftware = false
    events.interrupt.vector = state.injected ?? 0
    events.nmi.isInjected = state.isNMIInjected
    events.nmi.isPending = state.isNMIPending || state.localAPIC.events.nmi
    events.nmi.isMasked = state.isNMIMasked
    try setEvents(events)
  }
}
