import CLinux

/// One of KVM's ioctls: its number, and its name for error messages.
struct KVMRequest: Sendable {
  let number: UInt
  let name: StaticString

  init(_ number: UInt, _ name: StaticString) {
    self.number = number
    self.name = name
  }
}

/// The ioctls in use, by their names in linux/kvm.h.
extension KVMRequest {
  static var getAPIVersion: Self { Self(APUS_KVM_GET_API_VERSION, "KVM_GET_API_VERSION") }
  static var createVM: Self { Self(APUS_KVM_CREATE_VM, "KVM_CREATE_VM") }
  static var getMSRIndexList: Self { Self(APUS_KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST") }
  static var checkExtension: Self { Self(APUS_KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION") }
  static var getVCPUMMapSize: Self { Self(APUS_KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE") }
  static var getSupportedCPUID: Self {
    Self(APUS_KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID")
  }
  static var createVCPU: Self { Self(APUS_KVM_CREATE_VCPU, "KVM_CREATE_VCPU") }
  static var getDirtyLog: Self { Self(APUS_KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG") }
  static var clearDirtyLog: Self { Self(APUS_KVM_CLEAR_DIRTY_LOG, "KVM_CLEAR_DIRTY_LOG") }
  static var setUserMemoryRegion: Self {
    Self(APUS_KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION")
  }
  static var setTSSAddress: Self { Self(APUS_KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR") }
  static var setIdentityMapAddress: Self {
    Self(APUS_KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR")
  }
  static var createIRQChip: Self { Self(APUS_KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP") }
  static var irqLine: Self { Self(APUS_KVM_IRQ_LINE, "KVM_IRQ_LINE") }
  static var getIRQChip: Self { Self(APUS_KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP") }
  static var setIRQChip: Self { Self(APUS_KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP") }
  static var setGSIRouting: Self { Self(APUS_KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING") }
  static var irqfd: Self { Self(APUS_KVM_IRQFD, "KVM_IRQFD") }
  static var createPIT2: Self { Self(APUS_KVM_CREATE_PIT2, "KVM_CREATE_PIT2") }
  static var getPIT2: Self { Self(APUS_KVM_GET_PIT2, "KVM_GET_PIT2") }
  static var setPIT2: Self { Self(APUS_KVM_SET_PIT2, "KVM_SET_PIT2") }
  static var ioEventFD: Self { Self(APUS_KVM_IOEVENTFD, "KVM_IOEVENTFD") }
  static var setClock: Self { Self(APUS_KVM_SET_CLOCK, "KVM_SET_CLOCK") }
  static var getClock: Self { Self(APUS_KVM_GET_CLOCK, "KVM_GET_CLOCK") }
  static var setTSCKHz: Self { Self(APUS_KVM_SET_TSC_KHZ, "KVM_SET_TSC_KHZ") }
  static var getTSCKHz: Self { Self(APUS_KVM_GET_TSC_KHZ, "KVM_GET_TSC_KHZ") }
  static var signalMSI: Self { Self(APUS_KVM_SIGNAL_MSI, "KVM_SIGNAL_MSI") }
  static var enableCapability: Self { Self(APUS_KVM_ENABLE_CAP, "KVM_ENABLE_CAP") }
  static var setMSRFilter: Self {
    Self(APUS_KVM_X86_SET_MSR_FILTER, "KVM_X86_SET_MSR_FILTER")
  }
  static var run: Self { Self(APUS_KVM_RUN, "KVM_RUN") }
  static var getRegisters: Self { Self(APUS_KVM_GET_REGS, "KVM_GET_REGS") }
  static var setRegisters: Self { Self(APUS_KVM_SET_REGS, "KVM_SET_REGS") }
  static var getSpecialRegisters: Self { Self(APUS_KVM_GET_SREGS, "KVM_GET_SREGS") }
  static var setSpecialRegisters: Self { Self(APUS_KVM_SET_SREGS, "KVM_SET_SREGS") }
  static var interrupt: Self { Self(APUS_KVM_INTERRUPT, "KVM_INTERRUPT") }
  static var nmi: Self { Self(APUS_KVM_NMI, "KVM_NMI") }
  static var getMSRs: Self { Self(APUS_KVM_GET_MSRS, "KVM_GET_MSRS") }
  static var setMSRs: Self { Self(APUS_KVM_SET_MSRS, "KVM_SET_MSRS") }
  static var getFPU: Self { Self(APUS_KVM_GET_FPU, "KVM_GET_FPU") }
  static var setFPU: Self { Self(APUS_KVM_SET_FPU, "KVM_SET_FPU") }
  static var getLAPIC: Self { Self(APUS_KVM_GET_LAPIC, "KVM_GET_LAPIC") }
  static var setLAPIC: Self { Self(APUS_KVM_SET_LAPIC, "KVM_SET_LAPIC") }
  static var setCPUID2: Self { Self(APUS_KVM_SET_CPUID2, "KVM_SET_CPUID2") }
  static var getCPUID2: Self { Self(APUS_KVM_GET_CPUID2, "KVM_GET_CPUID2") }
  static var getMPState: Self { Self(APUS_KVM_GET_MP_STATE, "KVM_GET_MP_STATE") }
  static var setMPState: Self { Self(APUS_KVM_SET_MP_STATE, "KVM_SET_MP_STATE") }
  static var setGuestDebug: Self { Self(APUS_KVM_SET_GUEST_DEBUG, "KVM_SET_GUEST_DEBUG") }
  static var getVCPUEvents: Self { Self(APUS_KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS") }
  static var setVCPUEvents: Self { Self(APUS_KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS") }
  static var getDebugRegisters: Self { Self(APUS_KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS") }
  static var setDebugRegisters: Self { Self(APUS_KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS") }
  static var getXSave: Self { Self(APUS_KVM_GET_XSAVE, "KVM_GET_XSAVE") }
  static var getXSave2: Self { Self(APUS_KVM_GET_XSAVE2, "KVM_GET_XSAVE2") }
  static var setXSave: Self { Self(APUS_KVM_SET_XSAVE, "KVM_SET_XSAVE") }
  static var getXCRs: Self { Self(APUS_KVM_GET_XCRS, "KVM_GET_XCRS") }
  static var setXCRs: Self { Self(APUS_KVM_SET_XCRS, "KVM_SET_XCRS") }
}
