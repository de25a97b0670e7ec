import DeviceModel
import Interrupts
import KVM
import Synchronization

/// A processor whose local APIC is in the kernel: ends of the I/O APIC's interrupts, and on the boot processor the
/// interrupts of the 8259s.
final class SplitProcessor: ProcessorInterrupts {
  private let ioAPIC: IOAPIC
  /// The 8259s, on the processor that they are wired to.
  private let pic: PICPair?
  private let kicker = Mutex<VCPUKicker?>(nil)
  /// The 8259s' output has changed since the vCPU's thread looked at it.
  private let hasChanged = Atomic(false)
  /// What the thread saw; its own.
  private let isRequesting = Atomic(false)
  /// The vector of the 8259s that was injected last, and 256; 0 for none.
  private let injected = Atomic<UInt16>(0)

  init(ioAPIC: IOAPIC, pic: PICPair?) {
    self.ioAPIC = ioAPIC
    self.pic = pic
  }

  func start(_ vcpu: VCPU, memory: BusView) {
    kicker.withLock { $0 = vcpu.kicker }
  }

  /// Any thread: the 8259s' output is another than before.
  func externalRequestChanged() {
    hasChanged.store(true, ordering: .sequentiallyConsistent)
    kicker.withLock { $0 }?.kick()
  }

  func prepare(_ vcpu: VCPU) throws(KVMError) -> Bool {
    guard let pic else { return true }
    if hasChanged.load(ordering: .relaxed) {
      _ = hasChanged.exchange(false, ordering: .sequentiallyConsistent)
      isRequesting.store(pic.isRequesting, ordering: .relaxed)
    }
    guard isRequesting.load(ordering: .relaxed) else {
      vcpu.requestsInterruptWindow = false
      return true
    }
    // The kernel says so only if the local APIC takes interrupts of 8259s at LINT0, too.
    if vcpu.canInjectInterrupt {
      // The line may have fallen since: an acknowledgement would then be a spurious interrupt.
      if pic.isRequesting {
        let vector = pic.acknowledge()
        try vcpu.inject(vector)
        injected.store(256 | UInt16(vector), ordering: .relaxed)
      }
      isRequesting.store(pic.isRequesting, ordering: .relaxed)
    }
    vcpu.requestsInterruptWindow = isRequesting.load(ordering: .relaxed)
    return true
  }

  func handle(_ exit: VCPUExit, _ vcpu: VCPU) -> Bool {
    switch exit {
    case .ioapicEOI(let vector): ioAPIC.endOfInterrupt(vector: vector)
    // The next round injects.
    case .irqWindowOpen: break
    default: return false
    }
    return true
  }

  var isStopped: Bool? { nil }

  func state(of vcpu: VCPU) throws -> InterruptState.Processor {
    var state = try vcpu.interruptState()
    // KVM does not show a vector of the 8259s that it has not handed on: there is one if interrupts are enabled
    // and nothing else is in the way, and still no further one would be taken.
    let vector = injected.load(ordering: .relaxed)
    if vector != 0, state.injected == nil, vcpu.interruptFlag, !vcpu.canInjectInterrupt,
      try vcpu.events().interrupt.shadow == 0
    {
      state.injected = UInt8(truncatingIfNeeded: vector)
    }
    return state
  }

  func restore(_ state: InterruptState.Processor, to vcpu: VCPU) throws { try vcpu.restore(state) }

  // The kernel waits for it, and a kick ends that.
  func wake() {}
}
