import CLinux

/// Registers, by ioctl and by way of the run page.
extension VCPU {
  /// The general-purpose registers (api.rst, 4.11).
  public func registers() throws(KVMError) -> Registers {
    var raw = kvm_regs()
    try descriptor.perform(.getRegisters, with: &raw, "vCPU \(id)")
    return Registers(raw)
  }

  /// Sets the general-purpose registers (api.rst, 4.12).
  public func setRegisters(_ registers: Registers) throws(KVMError) {
    var raw = registers.raw
    try descriptor.perform(.setRegisters, with: &raw, "vCPU \(id)")
  }

  /// The segment, control and system registers (api.rst, 4.13).
  public func specialRegisters() throws(KVMError) -> SpecialRegisters {
    var raw = kvm_sregs()
    try descriptor.perform(.getSpecialRegisters, with: &raw, "vCPU \(id)")
    return SpecialRegisters(raw)
  }

  /// Sets the segment, control and system registers (api.rst, 4.14); KVM refuses a combination
  /// that no processor could be in.
  public func setSpecialRegisters(_ registers: SpecialRegisters) throws(KVMError) {
    var raw = registers.raw
    try descriptor.perform(
      .setSpecialRegisters,
      with: &raw,
      "vCPU \(id), CR0 \(hexadecimal(registers.cr0)), CR4 \(hexadecimal(registers.cr4)), "
        + "EFER \(hexadecimal(registers.efer))"
    )
  }

  /// Which registers are in the run page after each ``run()``; none at first.
  ///
  /// Only what ``KVMCapability/syncRegisters`` of the ``VM`` has may be asked for.
  public var syncedRegisters: SyncedRegisters {
    get { unsafe SyncedRegisters(rawValue: page.pointee.kvm_valid_regs) }
    set { unsafe page.pointee.kvm_valid_regs = newValue.rawValue }
  }

  /// The general-purpose registers in the run page, with no system call.
  ///
  /// As of the last exit; writing has effect with the next ``run()``.
  ///
  /// - Precondition: ``syncedRegisters`` had them in the last run.
  public var exitRegisters: Registers {
    get {
      precondition(syncedRegisters.contains(.registers), "registers that are not synchronised")
      // SAFETY: the member is always there; KVM filled it in at the exit.
      return unsafe Registers(page.pointee.s.regs.regs)
    }
    set {
      unsafe page.pointee.s.regs.regs = newValue.raw
      unsafe page.pointee.kvm_dirty_regs |= SyncedRegisters.registers.rawValue
    }
  }

  /// The segment, control and system registers in the run page; as ``exitRegisters``.
  public var exitSpecialRegisters: SpecialRegisters {
    get {
      precondition(
        syncedRegisters.contains(.specialRegisters),
        "registers that are not synchronised"
      )
      // SAFETY: the member is always there; KVM filled it in at the exit.
      return unsafe SpecialRegisters(page.pointee.s.regs.sregs)
    }
    set {
      unsafe page.pointee.s.regs.sregs = newValue.raw
      unsafe page.pointee.kvm_dirty_regs |= SyncedRegisters.specialRegisters.rawValue
    }
  }

  /// Values of model-specific registers (api.rst, 4.18).
  ///
  /// - Throws: ``KVMError/refusedMSR(_:index:)`` for the first that KVM does not know.
  public func msrs(_ indices: [UInt32]) throws(KVMError) -> [MSREntry] {
    var list = FlexibleArray(indices.map { MSREntry(index: $0, value: 0).raw })
    let count = try descriptor.perform(.getMSRs, withWords: &list.words, "vCPU \(id)")
    guard count == indices.count else {
      throw .refusedMSR("KVM_GET_MSRS", index: indices[Int(count)])
    }
    return list.entries.map { MSREntry($0) }
  }

  /// Sets model-specific registers, in the order given (api.rst, 4.19).
  ///
  /// - Throws: ``KVMError/refusedMSR(_:index:)`` for the first that KVM does not know, or whose
  ///   value is not allowed; those before it are set.
  public func setMSRs(_ entries: [MSREntry]) throws(KVMError) {
    var list = FlexibleArray(entries.map(\.raw))
    let count = try descriptor.perform(.setMSRs, withWords: &list.words, "vCPU \(id)")
    guard count == entries.count else {
      throw .refusedMSR("KVM_SET_MSRS", index: entries[Int(count)].index)
    }
  }

  /// What CPUID answers the guest (api.rst, 4.20); before the first run.
  public func setCPUID(_ entries: [CPUIDEntry]) throws(KVMError) {
    var list = FlexibleArray(entries.map(\.raw))
    try descriptor.perform(
      .setCPUID2,
      withWords: &list.words,
      "vCPU \(id), \(entries.count) entries"
    )
  }

  /// What ``setCPUID(_:)`` set, with the bits that KVM keeps up to date.
  public func cpuid() throws(KVMError) -> [CPUIDEntry] {
    // KVM takes no more than 256 entries (KVM_MAX_CPUID_ENTRIES).
    var list = FlexibleArray<kvm_cpuid_entry2>(capacity: 256)
    try descriptor.perform(.getCPUID2, withWords: &list.words, "vCPU \(id)")
    return list.entries.map { CPUIDEntry($0) }
  }

  /// The frequency of the guest's TSC in kHz (api.rst, 4.56).
  public func tscKHz() throws(KVMError) -> UInt32 {
    UInt32(try descriptor.perform(.getTSCKHz, 0, "vCPU \(id)"))
  }

  /// Sets the frequency of the guest's TSC (api.rst, 4.55); needs
  /// ``KVMCapability/tscControl`` unless it is close to the host's.
  public func setTSCKHz(_ frequency: UInt32) throws(KVMError) {
    try descriptor.perform(.setTSCKHz, UInt(frequency), "vCPU \(id), \(frequency) kHz")
  }
}
