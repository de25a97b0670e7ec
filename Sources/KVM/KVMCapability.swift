import CLinux

/// Something that a kernel's KVM may or may not be able to do (api.rst, 4.4 and 6 to 8).
public struct KVMCapability: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number in linux/kvm.h.
  public let rawValue: UInt32

  /// Wraps a number of linux/kvm.h, which may be unknown to this list.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  private init(_ rawValue: Int32) { self.rawValue = UInt32(truncatingIfNeeded: rawValue) }

  /// `KVM_CAP_IRQFD`; `KVM_CAP number 999` where this list has no name for it.
  public var description: String {
    Self.names.first { $0.0 == self }?.1 ?? "KVM_CAP number \(rawValue)"
  }
}

extension KVMCapability {
  /// Interrupt controllers in the kernel.
  public static var irqChip: Self { Self(KVM_CAP_IRQCHIP) }
  /// Memory slots backed by the process's own memory.
  public static var userMemory: Self { Self(KVM_CAP_USER_MEMORY) }
  /// A movable task-state segment for Intel's real mode.
  public static var setTSSAddress: Self { Self(KVM_CAP_SET_TSS_ADDR) }
  /// A movable identity map for Intel's real mode.
  public static var setIdentityMapAddress: Self { Self(KVM_CAP_SET_IDENTITY_MAP_ADDR) }
  /// CPUID leaves with sub-leaves.
  public static var extendedCPUID: Self { Self(KVM_CAP_EXT_CPUID) }
  /// How many vCPUs are recommended.
  public static var recommendedVCPUs: Self { Self(KVM_CAP_NR_VCPUS) }
  /// How many vCPUs are possible.
  public static var maximumVCPUs: Self { Self(KVM_CAP_MAX_VCPUS) }
  /// The first vCPU number that is too high.
  public static var maximumVCPUID: Self { Self(KVM_CAP_MAX_VCPU_ID) }
  /// How many memory slots there are.
  public static var memorySlots: Self { Self(KVM_CAP_NR_MEMSLOTS) }
  /// Start and wait states of vCPUs.
  public static var mpState: Self { Self(KVM_CAP_MP_STATE) }
  /// Non-maskable interrupts from the process.
  public static var userNMI: Self { Self(KVM_CAP_USER_NMI) }
  /// Breakpoints and single-stepping.
  public static var guestDebug: Self { Self(KVM_CAP_SET_GUEST_DEBUG) }
  /// A table of routes from GSIs to interrupts.
  public static var irqRouting: Self { Self(KVM_CAP_IRQ_ROUTING) }
  /// Interrupts from eventfds.
  public static var irqfd: Self { Self(KVM_CAP_IRQFD) }
  /// Level interrupts from eventfds, with another eventfd at their end.
  public static var irqfdResample: Self { Self(KVM_CAP_IRQFD_RESAMPLE) }
  /// Eventfds signalled by guest writes.
  public static var ioEventFD: Self { Self(KVM_CAP_IOEVENTFD) }
  /// Eventfds signalled by guest writes to memory of any width.
  public static var ioEventFDAnyLength: Self { Self(KVM_CAP_IOEVENTFD_ANY_LENGTH) }
  /// Message-signalled interrupts from the process.
  public static var signalMSI: Self { Self(KVM_CAP_SIGNAL_MSI) }
  /// Local APICs in the kernel, I/O APIC and PICs in the process.
  public static var splitIRQChip: Self { Self(KVM_CAP_SPLIT_IRQCHIP) }
  /// x2APIC identifiers of 32 bits in routes, messages and saved state.
  public static var x2APIC: Self { Self(KVM_CAP_X2APIC_API) }
  /// A timer chip in the kernel, with the speaker's port.
  public static var pit2: Self { Self(KVM_CAP_PIT2) }
  /// The timer chip's state.
  public static var pitState2: Self { Self(KVM_CAP_PIT_STATE2) }
  /// Setting the guest's clock.
  public static var adjustClock: Self { Self(KVM_CAP_ADJUST_CLOCK) }
  /// The local APIC timer's TSC-deadline mode.
  public static var tscDeadlineTimer: Self { Self(KVM_CAP_TSC_DEADLINE_TIMER) }
  /// Choosing a vCPU's TSC frequency.
  public static var tscControl: Self { Self(KVM_CAP_TSC_CONTROL) }
  /// Reading a vCPU's TSC frequency.
  public static var getTSCKHz: Self { Self(KVM_CAP_GET_TSC_KHZ) }
  /// Pending events of a vCPU.
  public static var vcpuEvents: Self { Self(KVM_CAP_VCPU_EVENTS) }
  /// Debug registers of a vCPU.
  public static var debugRegisters: Self { Self(KVM_CAP_DEBUGREGS) }
  /// Extended processor state.
  public static var xsave: Self { Self(KVM_CAP_XSAVE) }
  /// Extended processor state of any size; the value is the size in bytes.
  public static var xsave2: Self { Self(KVM_CAP_XSAVE2) }
  /// Extended control registers.
  public static var xcrs: Self { Self(KVM_CAP_XCRS) }
  /// Registers in the run page; the value is the set of ``SyncedRegisters``.
  public static var syncRegisters: Self { Self(KVM_CAP_SYNC_REGS) }
  /// A flag in the run page that makes `KVM_RUN` return at once.
  public static var immediateExit: Self { Self(KVM_CAP_IMMEDIATE_EXIT) }
  /// Memory slots that the guest may only read.
  public static var readOnlyMemory: Self { Self(KVM_CAP_READONLY_MEM) }
  /// A dirty log that is cleared separately.
  public static var manualDirtyLogProtect: Self { Self(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) }
  /// Exits for model-specific registers that KVM does not handle.
  public static var userSpaceMSR: Self { Self(KVM_CAP_X86_USER_SPACE_MSR) }
  /// Choosing model-specific registers that KVM does not handle.
  public static var msrFilter: Self { Self(KVM_CAP_X86_MSR_FILTER) }
  /// Not leaving the guest for instructions such as `HLT` and `PAUSE`.
  public static var disableExits: Self { Self(KVM_CAP_X86_DISABLE_EXITS) }

  private static var names: [(Self, String)] {
    [
      (.irqChip, "KVM_CAP_IRQCHIP"),
      (.userMemory, "KVM_CAP_USER_MEMORY"),
      (.setTSSAddress, "KVM_CAP_SET_TSS_ADDR"),
      (.setIdentityMapAddress, "KVM_CAP_SET_IDENTITY_MAP_ADDR"),
      (.extendedCPUID, "KVM_CAP_EXT_CPUID"),
      (.recommendedVCPUs, "KVM_CAP_NR_VCPUS"),
      (.maximumVCPUs, "KVM_CAP_MAX_VCPUS"),
      (.maximumVCPUID, "KVM_CAP_MAX_VCPU_ID"),
      (.memorySlots, "KVM_CAP_NR_MEMSLOTS"),
      (.mpState, "KVM_CAP_MP_STATE"),
      (.userNMI, "KVM_CAP_USER_NMI"),
      (.guestDebug, "KVM_CAP_SET_GUEST_DEBUG"),
      (.irqRouting, "KVM_CAP_IRQ_ROUTING"),
      (.irqfd, "KVM_CAP_IRQFD"),
      (.irqfdResample, "KVM_CAP_IRQFD_RESAMPLE"),
      (.ioEventFD, "KVM_CAP_IOEVENTFD"),
      (.ioEventFDAnyLength, "KVM_CAP_IOEVENTFD_ANY_LENGTH"),
      (.signalMSI, "KVM_CAP_SIGNAL_MSI"),
      (.splitIRQChip, "KVM_CAP_SPLIT_IRQCHIP"),
      (.x2APIC, "KVM_CAP_X2APIC_API"),
      (.pit2, "KVM_CAP_PIT2"),
      (.pitState2, "KVM_CAP_PIT_STATE2"),
      (.adjustClock, "KVM_CAP_ADJUST_CLOCK"),
      (.tscDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER"),
      (.tscControl, "KVM_CAP_TSC_CONTROL"),
      (.getTSCKHz, "KVM_CAP_GET_TSC_KHZ"),
      (.vcpuEvents, "KVM_CAP_VCPU_EVENTS"),
      (.debugRegisters, "KVM_CAP_DEBUGREGS"),
      (.xsave, "KVM_CAP_XSAVE"),
      (.xsave2, "KVM_CAP_XSAVE2"),
      (.xcrs, "KVM_CAP_XCRS"),
      (.syncRegisters, "KVM_CAP_SYNC_REGS"),
      (.immediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
      (.readOnlyMemory, "KVM_CAP_READONLY_MEM"),
      (.manualDirtyLogProtect, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"),
      (.userSpaceMSR, "KVM_CAP_X86_USER_SPACE_MSR"),
      (.msrFilter, "KVM_CAP_X86_MSR_FILTER"),
      (.disableExits, "KVM_CAP_X86_DISABLE_EXITS"),
    ]
  }
}
