import CLinux
import DeviceModel
import GuestMemory
import HostOS
import Interrupts
import KVM
import Synchronization

/// A processor with a local APIC in this process: the kernel injects what it is handed, and nothing else.
///
/// All but ``wake()`` is called on the vCPU's own thread.
final class UserProcessor: ProcessorInterrupts, @unchecked Sendable {
  // Sendable: the plain variables belong to the vCPU's thread, the rest is atomic or has locks of its own.
  private enum Activity {
    case running
    case halted
    case waitingForStartUp
  }

  /// IA32_APIC_BASE and IA32_TSC_DEADLINE (SDM volume 4, 2.1).
  private enum Register {
    static var apicBase: UInt32 { 0x1B }
    static var timestampDeadline: UInt32 { 0x6E0 }
  }

  private let apic: LocalAPIC
  private let clock: any DeviceClock
  private let isBoot: Bool
  private let event: EventFD
  private let kicker = Mutex<VCPUKicker?>(nil)
  /// The thread's token, once it has begun.
  private let thread = Atomic<UInt>(0)
  /// Something happened since the thread looked.
  private let isWoken = Atomic(false)
  /// The thread waits for ``event``, or is about to.
  private let isWaiting = Atomic(false)

  private var activity: Activity
  /// The last exit left an access that the kernel ends in the next run.
  private var isAccessOpen = false
  /// An NMI was handed to the kernel since the processor last halted.
  private var hasInjectedNMI = false
  /// The interrupt flag when the processor halted.
  private var hasInterruptFlag = false
  private var resetState = SpecialRegisters()
  /// What is in EDX then: the processor's signature.
  private var signature: UInt64 = 0
  private var frequency: UInt64 = 1_000_000
  private var page: (registration: BusRegistration, bus: Bus)?

  init(_ apic: LocalAPIC, clock: any DeviceClock, isBoot: Bool) throws(SystemError) {
    self.apic = apic
    self.clock = clock
    self.isBoot = isBoot
    event = try EventFD()
    activity = isBoot ? .running : .waitingForStartUp
    apic.whenWoken { [weak self] in self?.wake() }
  }

  func start(_ vcpu: VCPU, memory: BusView) throws {
    kicker.withLock { $0 = vcpu.kicker }
    // CPUID tells of a local APIC by the kernel's copy of the base register.
    resetState = try vcpu.specialRegisters()
    signature = try vcpu.registers().rdx
    resetState.apicBase = apic.base
    try vcpu.setSpecialRegisters(resetState)
    if isBoot { apic.enterVirtualWireMode() }
    frequency = max(1, UInt64(try vcpu.tscKHz()))
    try synchronizeTimestampCounter(vcpu)
    page = (
      try memory.local.register(
        apic,
        name: "local APIC",
        at: [BusRange(MemoryMap.localAPIC.lowerBound.rawValue, size: 0x1000)]
      ),
      memory.local
    )
  }

  func wake() {
    isWoken.store(true, ordering: .sequentiallyConsistent)
    if isWaiting.load(ordering: .sequentiallyConsistent) {
      event.signal()
    } else if thread.load(ordering: .relaxed) != apus_thread_token() {
      kicker.withLock { $0 }?.kick()
    }
  }

  func prepare(_ vcpu: VCPU) throws(KVMError) -> Bool {
    if thread.load(ordering: .relaxed) == 0 {
      thread.store(apus_thread_token(), ordering: .relaxed)
    }
    // Whoever woke us may have done so for a request of the run loop's, which has looked already.
    let wasWoken =
      isWoken.load(ordering: .relaxed)
      && isWoken.exchange(false, ordering: .sequentiallyConsistent)
    if apic.hasEvents {
      // The kernel ends an access that it left half done before it looks whether to go on: with other
      // registers than those of the access, it would end in the wrong place (api.rst, 5, `immediate_exit`).
      guard !isAccessOpen else {
        isAccessOpen = false
        vcpu.kicker.kick()
        return true
      }
      try takeEvents(vcpu)
    }
    if activity == .halted, hasInterruptFlag, apic.hasInterrupt {
      // HLT ends with an interrupt that the flag lets through (SDM volume 2A, HLT).
      guard let vector = apic.acknowledgeInterrupt() else { return false }
      try vcpu.inject(vector)
      activity = .running
    } else if activity == .running, apic.hasInterrupt, vcpu.canInjectInterrupt,
      let vector = apic.acknowledgeInterrupt()
    {
      try vcpu.inject(vector)
    }
    guard activity == .running else { return wasWoken ? false : wait() }
    vcpu.requestsInterruptWindow = apic.hasInterrupt
    vcpu.cr8 = apic.cr8
    return true
  }

  func handle(_ exit: VCPUExit, _ vcpu: VCPU) throws(KVMError) -> Bool {
    // The guest may have changed its priority without an exit.
    if vcpu.cr8 != apic.cr8 { apic.cr8 = vcpu.cr8 }
    isAccessOpen =
      switch exit {
      case .readMSR, .writeMSR, .mmio, .port: true
      default: false
      }
    switch exit {
    case .hlt:
      hasInterruptFlag = vcpu.interruptFlag
      activity = try isNMIWaiting(vcpu) ? .running : .halted
    case .irqWindowOpen, .taskPriorityLowered: break
    case .readMSR(let index):
      if let value = try? readMSR(index) { vcpu.completeMSRRead(value) } else { vcpu.refuseMSR() }
    case .writeMSR(let index, let value):
      do {
        try writeMSR(index, value, vcpu)
      } catch let error as KVMError {
        throw error
      } catch {
        vcpu.refuseMSR()
      }
    default: return false
    }
    return true
  }

  var isStopped: Bool? {
    switch activity {
    case .running: false
    case .waitingForStartUp: true
    case .halted: !hasInterruptFlag
    }
  }

  /// Waits to be woken, or for the next look at the run's requests.
  private func wait() -> Bool {
    isWaiting.store(true, ordering: .sequentiallyConsistent)
    // Pairs with `wake()`: one of the two sees the other.
    if !isWoken.load(ordering: .sequentiallyConsistent) {
      event.wait()
    }
    isWaiting.store(false, ordering: .sequentiallyConsistent)
    event.drain()
    return false
  }

  /// INIT, start-up and NMI, which no flag holds off.
  private func takeEvents(_ vcpu: VCPU) throws(KVMError) {
    let events = apic.takeEvents()
    guard !events.isEmpty else { return }
    if events.initReceived {
      apic.initialize()
      try reset(vcpu)
      // SDM volume 3A, 10.4.4: the boot processor begins at the reset vector, the others wait.
      activity = isBoot ? .running : .waitingForStartUp
    }
    if let vector = events.startUpVector, activity == .waitingForStartUp {
      try startUp(vcpu, vector)
      activity = .running
    }
    if events.nmi, activity != .waitingForStartUp {
      try vcpu.injectNMI()
      hasInjectedNMI = true
      activity = .running
    }
  }

  /// Whether the kernel holds an NMI that came where none could be taken, such as between STI and HLT.
  private func isNMIWaiting(_ vcpu: VCPU) throws(KVMError) -> Bool {
    guard hasInjectedNMI else { return false }
    let isPending = try vcpu.events().nmi.isPending
    hasInjectedNMI = isPending
    return isPending
  }

  /// The state after INIT (SDM volume 3A, table 10-1).
  private func reset(_ vcpu: VCPU) throws(KVMError) {
    resetState.apicBase = apic.base
    try vcpu.setSpecialRegisters(resetState)
    var registers = Registers()
    registers.rip = 0xFFF0
    registers.rflags = 2
    registers.rdx = signature
    try vcpu.setRegisters(registers)
    var debug = DebugRegisters()
    debug.dr6 = 0xFFFF_0FF0
    debug.dr7 = 0x400
    try vcpu.setDebugRegisters(debug)
    try vcpu.setEvents(VCPUEvents())
  }

  /// Begins at a page below 1 MiB, in real mode (SDM volume 3A, 10.4.4.1).
  private func startUp(_ vcpu: VCPU, _ vector: UInt8) throws(KVMError) {
    var special = try vcpu.specialRegisters()
    special.cs.selector = UInt16(vector) << 8
    special.cs.base = UInt64(vector) << 12
    try vcpu.setSpecialRegisters(special)
    var registers = try vcpu.registers()
    registers.rip = 0
    try vcpu.setRegisters(registers)
  }

  private func readMSR(_ index: UInt32) throws(MSRFault) -> UInt64 {
    switch index {
    case Register.apicBase: apic.base
    case Register.timestampDeadline: apic.tscDeadline
    default: try apic.readMSR(index)
    }
  }

  private func writeMSR(_ index: UInt32, _ value: UInt64, _ vcpu: VCPU) throws {
    switch index {
    case Register.apicBase:
      try apic.writeBase(value)
      try baseHasChanged(vcpu)
    case Register.timestampDeadline:
      // The guest may have set its counter since.
      try synchronizeTimestampCounter(vcpu)
      apic.tscDeadline = value
    default: try apic.writeMSR(index, value)
    }
  }

  private func baseHasChanged(_ vcpu: VCPU) throws {
    // CPUID tells of a local APIC by the kernel's copy, and of nothing else: one that it does not
    // take is no reason to end the guest.
    if var special = try? vcpu.specialRegisters() {
      special.apicBase = apic.base
      try? vcpu.setSpecialRegisters(special)
    }
    // Outside of x2APIC mode, the page is where the base says.
    try page.map {
      try $0.bus.move($0.registration, to: apic.hasPage ? apic.base & 0x000F_FFFF_FFFF_F000 : nil)
    }
  }

  // MARK: Saving

  func state(of vcpu: VCPU) throws -> InterruptState.Processor {
    // INIT, start-up and NMI are taken here, as they would be next: no access is open between two runs.
    if apic.hasEvents { try takeEvents(vcpu) }
    var state = try vcpu.interruptsUnderWay()
    state.localAPIC = apic.state
    state.activity =
      switch activity {
      case .running: .running
      case .halted: .halted
      case .waitingForStartUp: .waitingForStartUp
      }
    return state
  }

  func restore(_ state: InterruptState.Processor, to vcpu: VCPU) throws {
    try synchronizeTimestampCounter(vcpu)
    var own = state.localAPIC
    own.events = LocalAPICEvents()
    apic.state = own
    try baseHasChanged(vcpu)
    try vcpu.restoreUnderWay(state)
    hasInjectedNMI = state.isNMIPending
    hasInterruptFlag = try vcpu.registers().rflags & 1 << 9 != 0
    activity =
      switch state.activity {
      case .running: .running
      case .halted: .halted
      case .waitingForStartUp: .waitingForStartUp
      }
  }

  private func synchronizeTimestampCounter(_ vcpu: VCPU) throws(KVMError) {
    // IA32_TIME_STAMP_COUNTER (SDM volume 4, 2.1).
    guard let value = try vcpu.msrs([0x10]).first?.value else { return }
    apic.setTimestampCounter(
      TimestampCounter(frequency: frequency, value: value, moment: clock.monotonic)
    )
  }
}
