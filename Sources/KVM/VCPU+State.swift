import CLinux

/// The rest of a vCPU's state, and the interrupts that this process injects.
extension VCPU {
  /// Whether the vCPU runs, halts, or waits to be started (api.rst, 4.38).
  public func mpState() throws(KVMError) -> MPState {
    var raw = kvm_mp_state()
    try descriptor.perform(.getMPState, with: &raw, "vCPU \(id)")
    return MPState(rawValue: raw.mp_state)
  }

  /// Sets whether the vCPU runs, halts, or waits to be started (api.rst, 4.39).
  public func setMPState(_ state: MPState) throws(KVMError) {
    var raw = kvm_mp_state(mp_state: state.rawValue)
    try descriptor.perform(.setMPState, with: &raw, "vCPU \(id), state \(state.rawValue)")
  }

  /// Interrupts, exceptions and the like that are under way (api.rst, 4.31).
  public func events() throws(KVMError) -> VCPUEvents {
    var raw = kvm_vcpu_events()
    try descriptor.perform(.getVCPUEvents, with: &raw, "vCPU \(id)")
    return VCPUEvents(raw)
  }

  /// Sets interrupts, exceptions and the like that are under way (api.rst, 4.32).
  public func setEvents(_ events: VCPUEvents) throws(KVMError) {
    var raw = events.raw
    try descriptor.perform(.setVCPUEvents, with: &raw, "vCPU \(id)")
  }

  /// The x87 and SSE registers (api.rst, 4.22).
  public func fpu() throws(KVMError) -> FPUState {
    var bytes = [UInt8](repeating: 0, count: FPUState.size)
    try descriptor.perform(.getFPU, withWords: &bytes, "vCPU \(id)")
    return FPUState(bytes: bytes)
  }

  /// Sets the x87 and SSE registers (api.rst, 4.23).
  public func setFPU(_ state: FPUState) throws(KVMError) {
    var bytes = state.bytes
    try descriptor.perform(.setFPU, withWords: &bytes, "vCPU \(id)")
  }

  /// The extended processor state (api.rst, 4.42).
  public func xsave() throws(KVMError) -> XSaveState {
    var bytes = [UInt8](repeating: 0, count: xsaveSize)
    // KVM_GET_XSAVE writes 4096 bytes and no more (api.rst, 4.42).
    let request: KVMRequest = xsaveSize > XSaveState.minimumSize ? .getXSave2 : .getXSave
    try descriptor.perform(request, withWords: &bytes, "vCPU \(id)")
    return XSaveState(bytes: bytes)
  }

  /// Sets the extended processor state (api.rst, 4.43).
  ///
  /// - Precondition: It is as long as ``xsave()`` gives it on this machine.
  public func setXSave(_ state: XSaveState) throws(KVMError) {
    precondition(state.bytes.count == xsaveSize, "\(state.bytes.count) bytes of extended state")
    var bytes = state.bytes
    try descriptor.perform(.setXSave, withWords: &bytes, "vCPU \(id)")
  }

  /// The extended control registers: XCR0, and others where there are any (api.rst, 4.44).
  public func xcrs() throws(KVMError) -> [ExtendedControlRegister] {
    var raw = kvm_xcrs()
    try descriptor.perform(.getXCRs, with: &raw, "vCPU \(id)")
    // SAFETY: the tuple is an array of `kvm_xcr` in C.
    return unsafe withUnsafeBytes(of: raw.xcrs) { bytes in
      unsafe bytes.bindMemory(to: kvm_xcr.self).prefix(Int(raw.nr_xcrs)).map {
        ExtendedControlRegister(index: $0.xcr, value: $0.value)
      }
    }
  }

  /// Sets extended control registers (api.rst, 4.45).
  ///
  /// - Precondition: There are at most 16.
  public func setXCRs(_ registers: [ExtendedControlRegister]) throws(KVMError) {
    precondition(registers.count <= Int(KVM_MAX_XCRS), "\(registers.count) control registers")
    var raw = kvm_xcrs()
    raw.nr_xcrs = UInt32(registers.count)
    // SAFETY: the tuple is an array of `kvm_xcr` in C, and long enough.
    unsafe withUnsafeMutableBytes(of: &raw.xcrs) { bytes in
      let array = unsafe bytes.bindMemory(to: kvm_xcr.self)
      for (index, register) in registers.enumerated() {
        unsafe array[index] = kvm_xcr(xcr: register.index, reserved: 0, value: register.value)
      }
    }
    try descriptor.perform(.setXCRs, with: &raw, "vCPU \(id), \(registers)")
  }

  /// The debug registers (api.rst, 4.33).
  public func debugRegisters() throws(KVMError) -> DebugRegisters {
    var raw = kvm_debugregs()
    try descriptor.perform(.getDebugRegisters, with: &raw, "vCPU \(id)")
    return DebugRegisters(raw)
  }

  /// Sets the debug registers (api.rst, 4.34).
  public func setDebugRegisters(_ registers: DebugRegisters) throws(KVMError) {
    var raw = registers.raw
    try descriptor.perform(.setDebugRegisters, with: &raw, "vCPU \(id)")
  }

  /// The registers of the local APIC in the kernel (api.rst, 4.57).
  public func localAPIC() throws(KVMError) -> LocalAPICState {
    var bytes = [UInt8](repeating: 0, count: LocalAPICState.size)
    try descriptor.perform(.getLAPIC, withWords: &bytes, "vCPU \(id)")
    return LocalAPICState(bytes: bytes)
  }

  /// Sets the registers of the local APIC in the kernel (api.rst, 4.58).
  public func setLocalAPIC(_ state: LocalAPICState) throws(KVMError) {
    var bytes = state.bytes
    try descriptor.perform(.setLAPIC, withWords: &bytes, "vCPU \(id)")
  }

  /// Injects an external interrupt (api.rst, 4.16); with no local APIC in the kernel, or from the
  /// PIC of a split controller.
  ///
  /// Call it only when ``canInjectInterrupt`` says so.
  public func inject(_ vector: UInt8) throws(KVMError) {
    var raw = kvm_interrupt(irq: UInt32(vector))
    try descriptor.perform(.interrupt, with: &raw, "vCPU \(id), vector \(vector)")
  }

  /// Injects a non-maskable interrupt (api.rst, 4.64).
  public func injectNMI() throws(KVMError) {
    try descriptor.perform(.nmi, 0, "vCPU \(id)")
  }

  /// Chooses what stops the guest with ``VCPUExit/debug(exception:address:)`` (api.rst, 4.87).
  ///
  /// - Parameters:
  ///   - options: What stops it; nothing turns debugging off.
  ///   - breakpoints: DR0 to DR3 for ``GuestDebugOptions/hardwareBreakpoints``.
  ///   - debugControl: DR7 for ``GuestDebugOptions/hardwareBreakpoints``.
  /// - Throws: ``KVMError``, `EINVAL` for options that this KVM does not have.
  public func setGuestDebug(
    _ options: GuestDebugOptions,
    breakpoints: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0),
    debugControl: UInt64 = 0
  ) throws(KVMError) {
    var raw = kvm_guest_debug()
    let control = options.isEmpty ? 0 : options.rawValue | UInt32(KVM_GUESTDBG_ENABLE)
    raw.control = control
    raw.arch.debugreg.0 = breakpoints.0
    raw.arch.debugreg.1 = breakpoints.1
    raw.arch.debugreg.2 = breakpoints.2
    raw.arch.debugreg.3 = breakpoints.3
    raw.arch.debugreg.7 = debugControl
    try descriptor.perform(
      .setGuestDebug,
      with: &raw,
      "vCPU \(id), control \(hexadecimal(control))"
    )
  }
}
