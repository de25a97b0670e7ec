import CLinux

/// Model-specific registers that this process answers for.
extension VM {
  /// Has guest accesses to `registers`, and to those that KVM refuses, stop the vCPU with
  /// ``VCPUExit/readMSR(index:)`` and ``VCPUExit/writeMSR(index:value:)`` (api.rst, 4.97 and 7.21).
  ///
  /// Registers 0x800 to 0x8FF cannot be chosen; KVM refuses them with no local APIC of its own.
  ///
  /// - Precondition: There are at most 16.
  public func handleMSRs(_ registers: [UInt32]) throws(KVMError) {
    precondition(registers.count <= Int(KVM_MSR_FILTER_MAX_RANGES), "\(registers.count) MSRs")
    let reasons = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER
    try enableCapability(.userSpaceMSR, argument: UInt64(reasons))
    // A bit of 0 filters; the bitmap is read in whole words.
    var bitmap: UInt64 = 0
    var filter = kvm_msr_filter()
    filter.flags = UInt32(KVM_MSR_FILTER_DEFAULT_ALLOW)
    try unsafe withUnsafeMutableBytes(of: &bitmap) { (bitmap) throws(KVMError) in
      // SAFETY: the tuple is an array of ranges in C, with room for 16.
      unsafe withUnsafeMutableBytes(of: &filter.ranges) { bytes in
        let ranges = unsafe bytes.bindMemory(to: kvm_msr_filter_range.self)
        for (index, register) in registers.enumerated() {
          unsafe ranges[index].flags = UInt32(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)
          unsafe ranges[index].nmsrs = 1
          unsafe ranges[index].base = register
          unsafe ranges[index].bitmap = bitmap.baseAddress?.assumingMemoryBound(to: UInt8.self)
        }
      }
      // The kernel copies the bitmaps before it returns.
      try descriptor.perform(.setMSRFilter, with: &filter, "\(registers.count) MSRs")
    }
  }
}
