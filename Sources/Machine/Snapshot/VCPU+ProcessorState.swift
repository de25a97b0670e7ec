import Glibc
import KVM

/// Takes and puts back a vCPU's registers; for whoever the vCPU belongs to at the time.
extension VCPU {
  /// Registers whose values are in the state of the interrupts: IA32_APIC_BASE and IA32_TSC_DEADLINE (SDM
  /// volume 4, 2.1).
  private static var interruptRegisters: [UInt32] { [0x1B, 0x6E0] }

  /// Takes the registers.
  ///
  /// - Parameters:
  ///   - cpuid: What CPUID was set to.
  ///   - indices: The model-specific registers that KVM names; those that it does not tell of are left out.
  /// - Returns: The registers.
  /// - Throws: ``KVMError``.
  func processorState(
    cpuid: [CPUIDEntry],
    msrs indices: [UInt32]
  ) throws(KVMError) -> ProcessorState {
    var state = ProcessorState()
    state.cpuid = cpuid
    state.tscKHz = (try? tscKHz()) ?? 0
    state.registers = try registers()
    state.special = try specialRegisters()
    (state.special.apicBase, state.special.pendingInterrupt) = (0, nil)
    state.extendedControl = (try? xcrs()) ?? []
    state.extended = (try? xsave())?.bytes ?? []
    if state.extended.isEmpty { state.fpu = try fpu().bytes }
    state.debug = try debugRegisters()
    state.events = try events()
    state.events.nmi = VCPUEvents.NMI()
    var wanted = indices.filter { !Self.interruptRegisters.contains($0) }
    while !wanted.isEmpty {
      do throws(KVMError) {
        state.msrs = try msrs(wanted)
        break
      } catch {
        guard case .refusedMSR(_, let index) = error else { throw error }
        wanted.removeAll { $0 == index }
      }
    }
    return state
  }

  /// Puts the registers back, the time-stamp counter with them; CPUID is set already, and interrupts come after.
  ///
  /// - Throws: ``KVMError`` for what no processor could be in, or not this one; ``SnapshotError/mismatch(_:)``.
  func restore(_ state: ProcessorState) throws {
    if state.tscKHz != 0, (try? tscKHz()) != state.tscKHz {
      do throws(KVMError) {
        try setTSCKHz(state.tscKHz)
      } catch {
        throw SnapshotError.mismatch(
          "time-stamp counter of \(state.tscKHz) kHz, which this host's processor cannot count at (\(error)); "
            + "restore it on one that can"
        )
      }
    }
    var special = state.special
    special.apicBase = try specialRegisters().apicBase
    try setSpecialRegisters(special)
    if !state.extendedControl.isEmpty { try setXCRs(state.extendedControl) }
    if state.extended.isEmpty {
      guard state.fpu.count == FPUState.size else {
        throw SnapshotError.mismatch(
          "floating-point state of \(state.fpu.count) bytes, and it has \(FPUState.size); save it again"
        )
      }
      try setFPU(FPUState(bytes: state.fpu))
    } else {
      let own = try xsave().bytes.count
      guard state.extended.count == own else {
        throw SnapshotError.mismatch(
          "extended state of \(state.extended.count) bytes, and this host's processor has \(own); restore it "
            + "on a host like the one it was saved on"
        )
      }
      try setXSave(XSaveState(bytes: state.extended))
    }
    try setRegisters(state.registers)
    try setDebugRegisters(state.debug)
    try restoreMSRs(state.msrs)
    var events = try events()
    events.exception = state.events.exception
    events.interrupt = state.events.interrupt
    if events.smi != nil { events.smi = state.events.smi }
    if events.hasTripleFault != nil { events.hasTripleFault = state.events.hasTripleFault }
    try setEvents(events)
  }

  private func restoreMSRs(_ entries: [MSREntry]) throws {
    var rest = entries[...]
    while !rest.isEmpty {
      do throws(KVMError) {
        try setMSRs(Array(rest))
        return
      } catch {
        guard case .refusedMSR(_, let index) = error,
          let place = rest.firstIndex(where: { $0.index == index })
        else { throw error }
        // Some can be read and not written: that is fine as long as they hold the same.
        let own = (try? msrs([index]))?.first?.value
        guard own == rest[place].value else {
          let value = own.map { hex($0) } ?? "none"
          throw SnapshotError.mismatch(
            "model-specific register \(hex(UInt64(index))) of \(hex(rest[place].value)), which this host's KVM "
              + "does not take (it has \(value)); restore it on a host like the one it was saved on"
          )
        }
        rest = rest[(place + 1)...]
      }
    }
  }
}
