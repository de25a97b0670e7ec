import CLinux
public import HostOS

/// Interrupt controllers and timer chip in the kernel, and the ways to raise an interrupt.
extension VM {
  /// Puts two PICs, an I/O APIC, and a local APIC for each vCPU made later, into the kernel
  /// (api.rst, 4.24); GSIs 0 to 15 lead to both, 16 to 23 to the I/O APIC.
  public func createIRQChip() throws(KVMError) {
    try descriptor.perform(.createIRQChip)
  }

  /// Puts a local APIC for each vCPU made later into the kernel, and nothing else
  /// (api.rst, 7.5).
  ///
  /// - Parameter pins: How many GSIs, from 0 on, the I/O APIC in this process has; ends of their
  ///   level interrupts are reported as ``VCPUExit/ioapicEOI(vector:)``.
  /// - Throws: ``KVMError``, `EEXIST` once there are vCPUs.
  public func enableSplitIRQChip(pins: UInt32) throws(KVMError) {
    try enableCapability(.splitIRQChip, argument: UInt64(pins))
  }

  /// Puts an i8254 timer, wired to GSI 0, into the kernel (api.rst, 4.71).
  ///
  /// - Parameter speakerDummy: Whether the kernel answers the speaker's port 0x61 too.
  /// - Throws: ``KVMError``, `ENOENT` without ``createIRQChip()``.
  public func createPIT2(speakerDummy: Bool) throws(KVMError) {
    var raw = kvm_pit_config()
    raw.flags = speakerDummy ? UInt32(KVM_PIT_SPEAKER_DUMMY) : 0
    try descriptor.perform(.createPIT2, with: &raw, speakerDummy ? "with speaker" : "")
  }

  /// Sets the level of a GSI's line (api.rst, 4.25).
  ///
  /// An edge-triggered pin takes the rise as an interrupt. With a split controller, a rise delivers
  /// the GSI's message.
  public func irqLine(_ gsi: UInt32, level: Bool) throws(KVMError) {
    var raw = kvm_irq_level()
    raw.irq = gsi
    raw.level = level ? 1 : 0
    try descriptor.perform(.irqLine, with: &raw, "GSI \(gsi), level \(level ? 1 : 0)")
  }

  /// Replaces the whole table of routes, while vCPUs run (api.rst, 4.52).
  ///
  /// Descriptors bound to a GSI follow. With all controllers in the kernel, the table is
  /// ``KVMRoute/standard`` at first: give those routes again if they are to stay.
  public func setGSIRouting(_ routes: [KVMRoute]) throws(KVMError) {
    var table = FlexibleArray(routes.map(\.raw))
    try descriptor.perform(.setGSIRouting, withWords: &table.words, "\(routes.count) routes")
  }

  /// Delivers a message-signalled interrupt (api.rst, 4.71).
  ///
  /// - Returns: Whether a vCPU took it; the guest may have blocked it.
  @discardableResult
  public func signalMSI(address: UInt64, data: UInt32) throws(KVMError) -> Bool {
    var raw = kvm_msi()
    raw.address_lo = UInt32(truncatingIfNeeded: address)
    raw.address_hi = UInt32(truncatingIfNeeded: address >> 32)
    raw.data = data
    let delivered = try descriptor.perform(
      .signalMSI,
      with: &raw,
      "data \(hexadecimal(data)) at \(hexadecimal(address))"
    )
    return delivered > 0
  }

  /// Raises a GSI whenever an eventfd is signalled (api.rst, 4.75).
  ///
  /// - Parameters:
  ///   - event: The eventfd; the kernel takes its count.
  ///   - gsi: The GSI.
  ///   - resample: If given, the line is level-triggered: it stays raised until the guest ends the
  ///     interrupt, when this eventfd is signalled. Only with all controllers in the kernel.
  /// - Throws: ``KVMError``, `EBUSY` for an eventfd that raises a GSI already.
  public func assignIRQFD(
    _ event: EventFD,
    gsi: UInt32,
    resample: EventFD? = nil
  ) throws(KVMError) {
    var raw = kvm_irqfd()
    raw.fd = UInt32(event.rawValue)
    raw.gsi = gsi
    if let resample {
      raw.flags = UInt32(KVM_IRQFD_FLAG_RESAMPLE)
      raw.resamplefd = UInt32(resample.rawValue)
    }
    try descriptor.perform(
      .irqfd,
      with: &raw,
      "assign descriptor \(event.rawValue) to GSI \(gsi)"
        + (resample.map { ", resample \($0.rawValue)" } ?? "")
    )
  }

  /// Undoes ``assignIRQFD(_:gsi:resample:)``; on return no interrupt of it is under way.
  public func deassignIRQFD(_ event: EventFD, gsi: UInt32) throws(KVMError) {
    var raw = kvm_irqfd()
    raw.fd = UInt32(event.rawValue)
    raw.gsi = gsi
    raw.flags = UInt32(KVM_IRQFD_FLAG_DEASSIGN)
    try descriptor.perform(
      .irqfd,
      with: &raw,
      "deassign descriptor \(event.rawValue) from GSI \(gsi)"
    )
  }

  /// The state of one interrupt controller (api.rst, 4.26).
  public func irqChipState(_ chip: IRQChip) throws(KVMError) -> IRQChipState {
    var bytes = [UInt8](repeating: 0, count: MemoryLayout<kvm_irqchip>.size)
    bytes[0] = UInt8(chip.rawValue)
    try descriptor.perform(.getIRQChip, withWords: &bytes, "\(chip)")
    return IRQChipState(chip, bytes: Array(bytes[8...]))
  }

  /// Sets the state of one interrupt controller (api.rst, 4.27).
  public func setIRQChipState(_ state: IRQChipState) throws(KVMError) {
    var bytes: [UInt8] = [UInt8(state.chip.rawValue), 0, 0, 0, 0, 0, 0, 0] + state.bytes
    try descriptor.perform(.setIRQChip, withWords: &bytes, "\(state.chip)")
  }

  /// The state of the timer chip (api.rst, 4.72).
  public func pitState() throws(KVMError) -> PITState {
    var bytes = [UInt8](repeating: 0, count: PITState.size)
    try descriptor.perform(.getPIT2, withWords: &bytes)
    return PITState(bytes: bytes)
  }

  /// Sets the state of the timer chip (api.rst, 4.73).
  public func setPITState(_ state: PITState) throws(KVMError) {
    var bytes = state.bytes
    try descriptor.perform(.setPIT2, withWords: &bytes)
  }
}
