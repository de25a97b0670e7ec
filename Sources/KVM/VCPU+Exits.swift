import CLinux

/// What belongs to the last exit, read and written in place in the run page (api.rst, 5).
extension VCPU {
  /// Item `index` of a port exit that writes, in the low `8 * width` bits.
  ///
  /// - Precondition: The last exit was ``VCPUExit/port(_:)``, with more items than `index`.
  public func portItem(_ index: Int) -> UInt32 {
    let item = unsafe portItemAddress(index)
    // SAFETY: the item is inside the page and aligned to its width, as is the start of them all.
    return switch unsafe page.pointee.io.size {
    case 1: unsafe UInt32(item.load(as: UInt8.self))
    case 2: unsafe UInt32(item.load(as: UInt16.self))
    default: unsafe item.load(as: UInt32.self)
    }
  }

  /// Gives item `index` of a port exit that reads; bits above the width are dropped.
  ///
  /// - Precondition: The last exit was ``VCPUExit/port(_:)``, with more items than `index`.
  public func setPortItem(_ index: Int, to value: UInt32) {
    let item = unsafe portItemAddress(index)
    // SAFETY: As for `portItem(_:)`.
    switch unsafe page.pointee.io.size {
    case 1: unsafe item.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: unsafe item.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    default: unsafe item.storeBytes(of: value, as: UInt32.self)
    }
  }

  private func portItemAddress(_ index: Int) -> UnsafeMutableRawPointer {
    // SAFETY: the kernel put `count` items of `size` bytes where `data_offset` says.
    precondition(
      unsafe index >= 0 && index < Int(page.pointee.io.count)
        && page.pointee.exit_reason == UInt32(KVM_EXIT_IO),
      "no item \(index) in this exit"
    )
    return unsafe UnsafeMutableRawPointer(page)
      + Int(page.pointee.io.data_offset) + index * Int(page.pointee.io.size)
  }

  /// Gives what an MMIO exit wants to read; bits above the width are dropped.
  ///
  /// - Precondition: The last exit was ``VCPUExit/mmio(_:)`` of a read.
  public func completeMMIORead(_ value: UInt64) {
    precondition(
      unsafe page.pointee.exit_reason == UInt32(KVM_EXIT_MMIO),
      "a value for a read that is not there"
    )
    unsafe mmioData.pointee = value
  }

  /// Gives what ``VCPUExit/readMSR(index:)`` wants.
  public func completeMSRRead(_ value: UInt64) {
    unsafe page.pointee.msr.data = value
    unsafe page.pointee.msr.error = 0
  }

  /// Answers ``VCPUExit/readMSR(index:)`` or ``VCPUExit/writeMSR(index:value:)`` with a
  /// general-protection fault.
  public func refuseMSR() {
    unsafe page.pointee.msr.error = 1
  }

  /// The words that come with ``VCPUExit/internalError(suberror:)`` and
  /// ``VCPUExit/systemEvent(type:)``; empty for other exits.
  public var exitData: [UInt64] {
    let offset: UInt
    let count: UInt32
    switch unsafe Int32(truncatingIfNeeded: page.pointee.exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR:
      offset = APUS_KVM_RUN_INTERNAL_DATA
      count = unsafe page.pointee.internal.ndata
    case KVM_EXIT_SYSTEM_EVENT:
      offset = APUS_KVM_RUN_SYSTEM_EVENT_DATA
      count = unsafe page.pointee.system_event.ndata
    default: return []
    }
    // SAFETY: both have room for 16 words, and the kernel wrote `count` of them.
    return (0..<min(Int(count), 16)).map { index in
      unsafe UnsafeMutableRawPointer(page).load(
        fromByteOffset: Int(offset) + 8 * index,
        as: UInt64.self
      )
    }
  }

  /// DR6 and DR7 at ``VCPUExit/debug(exception:address:)``.
  public var debugStatus: (dr6: UInt64, dr7: UInt64) {
    unsafe (page.pointee.debug.arch.dr6, page.pointee.debug.arch.dr7)
  }

  /// Whether the next run is to return ``VCPUExit/irqWindowOpen`` once the guest can take an
  /// interrupt; for when there is no local APIC in the kernel, or no PIC.
  public var requestsInterruptWindow: Bool {
    get { unsafe page.pointee.request_interrupt_window != 0 }
    set { unsafe page.pointee.request_interrupt_window = newValue ? 1 : 0 }
  }

  /// Whether ``inject(_:)`` may be called now, as of the last exit.
  public var canInjectInterrupt: Bool {
    unsafe page.pointee.ready_for_interrupt_injection != 0
  }

  /// The guest's interrupt flag at the last exit.
  public var interruptFlag: Bool { unsafe page.pointee.if_flag != 0 }

  /// The guest's task priority; follows and is followed only with no local APIC in the kernel.
  public var cr8: UInt64 {
    get { unsafe page.pointee.cr8 }
    set { unsafe page.pointee.cr8 = newValue }
  }

  /// The guest's local APIC base register at the last exit.
  public var apicBase: UInt64 { unsafe page.pointee.apic_base }
}
