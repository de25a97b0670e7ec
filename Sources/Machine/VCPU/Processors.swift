import DeviceModel
import Glibc
import HostOS
import KVM
import Synchronization

/// The machine's vCPUs, each on a thread of its own.
///
/// Owned by the machine's main thread. ``stop()`` is called before it goes, so that no vCPU outlives
/// the devices.
final class Processors {
  private final class Processor {
    let kicker: VCPUKicker
    let inspection: VCPUInspection
    let interrupts: (any ProcessorInterrupts)?
    let vcpu: LentVCPU
    let thread: Thread

    init(
      _ kicker: VCPUKicker,
      _ inspection: VCPUInspection,
      _ interrupts: (any ProcessorInterrupts)?,
      _ vcpu: LentVCPU,
      _ thread: consuming Thread
    ) {
      self.kicker = kicker
      self.inspection = inspection
      self.interrupts = interrupts
      self.vcpu = vcpu
      self.thread = thread
    }

    /// Has the processor look at its requests, wherever it is.
    func kick() {
      interrupts?.wake()
      kicker.kick()
    }
  }

  private let control: RunControl
  private var processors: [Processor] = []
  /// Of processors that have stopped.
  private var inspections: [VCPUInspection] = []
  private var vcpus: [LentVCPU] = []
  private var isAsking = false
  private var processTime: UInt64 = 0

  /// Sets up the vCPUs and lets them run; vCPU 0 begins at `start`, the others wait to be started.
  ///
  /// With a state to restore, all interrupts are as that says, before a vCPU runs; with registers, the processors go on
  /// from these, and not from `start`.
  init(
    count: Int,
    vm: VM,
    cpuid: CPUIDBuilder,
    start: CPUStartState?,
    board: Board,
    control: RunControl,
    notesInterrupts: Bool = false,
    restoring state: InterruptState? = nil,
    registers: [ProcessorState]? = nil,
    beforeStart prepare: () throws -> Void = {}
  ) throws {
    self.control = control
    try state?.check(count: count)
    precondition(registers.map { $0.count == count } ?? true, "registers of other processors")
    var cpuid = cpuid
    // Threads wait here until all vCPUs exist: the first may start the others as soon as it runs.
    let gate = Gate()
    try gate.closed.withLock { _ in
      do {
        for index in 0..<count {
          let vcpu = try vm.makeVCPU(UInt32(index), kickSignal: Session.kickSignal)
          // The rate is the vCPU's own to tell; all have the same.
          if index == 0 { cpuid.tscKHz = try? vcpu.tscKHz() }
          let interrupts = try board.plane.makeProcessorInterrupts(index)
          let memory = BusView(of: board.memoryBus)
          try interrupts?.start(vcpu, memory: memory)
          var answers = cpuid.entries(forCPU: index)
          if let saved = registers?[index].cpuid {
            try CPUIDComparison.check(saved, against: answers, processor: index)
            answers = saved
          }
          try vcpu.initialize(cpuid: answers, hasLocalAPIC: cpuid.hasKernelLocalAPIC)
          if let registers {
            try vcpu.restore(registers[index])
          } else if index == 0, let start {
            try vcpu.start(at: start)
          }
          let lent = LentVCPU(vcpu, interrupts, cpuid: answers)
          vcpus.append(lent)
          let kicker = vcpu.kicker
          let inspection = VCPUInspection()
          let ports = BusView(of: board.portBus)
          let thread = try Thread("vcpu\(index)") {
            let loop = VCPULoop(
              vcpu: lent.vcpu,
              memory: memory,
              ports: ports,
              control: control,
              inspection: inspection,
              interrupts: interrupts,
              notesInterrupts: notesInterrupts
            )
            gate.closed.withLock { _ in }
            loop.run()
          }
          processors.append(Processor(kicker, inspection, interrupts, lent, thread))
        }
        if let state { try Self.restore(state, to: vcpus, board.plane) }
        try prepare()
      } catch {
        // Those that wait at the gate find that it is over.
        control.end(.failed("\(error)"))
        throw error
      }
    }
  }

  private static func restore(
    _ state: InterruptState,
    to vcpus: [LentVCPU],
    _ plane: any MachinePlane
  ) throws {
    if plane.pinRoutes != state.pinRoutes { try plane.setRoutes(state.pinRoutes) }
    for (vcpu, saved) in zip(vcpus, state.processors) { try vcpu.restore(saved) }
    try plane.restore(state.chips)
  }

  /// Takes the state of all interrupts while no vCPU is in the guest: they wait meanwhile, or have stopped.
  ///
  /// Devices go on; see ``InterruptState/init(of:mode:processors:)``.
  ///
  /// - Parameters:
  ///   - plane: The machine's plane.
  ///   - mode: Its mode.
  ///   - limit: How long to wait for the vCPUs to come out of the guest and of their devices, in milliseconds.
  /// - Returns: The state; `nil` if some vCPU has not come.
  /// - Throws: ``KVMError``, ``SystemError``.
  func interruptState(
    of plane: any MachinePlane,
    _ mode: InterruptMode,
    limit: UInt64 = 1000
  ) throws -> InterruptState? {
    try whilePaused(limit: limit) { try currentInterruptState(of: plane, mode) }
  }

  /// The state of all interrupts; no vCPU is in the guest.
  func currentInterruptState(
    of plane: any MachinePlane,
    _ mode: InterruptMode
  ) throws -> InterruptState {
    try InterruptState(
      of: plane,
      mode: mode,
      processors: vcpus.map { vcpu in { try vcpu.state() } }
    )
  }

  /// The registers of all vCPUs; none is in the guest.
  ///
  /// - Parameter msrs: The model-specific registers that KVM names.
  /// - Returns: Those of each vCPU.
  /// - Throws: ``KVMError``.
  func currentRegisters(msrs: [UInt32]) throws(KVMError) -> [ProcessorState] {
    try vcpus.map { (vcpu) throws(KVMError) in try vcpu.registers(msrs: msrs) }
  }

  /// Runs `body` while no vCPU is in the guest or in a device: they wait meanwhile, or have stopped.
  ///
  /// - Parameters:
  ///   - limit: How long to wait for the vCPUs, in milliseconds.
  ///   - body: What is to be done.
  /// - Returns: What `body` returns; `nil` if some vCPU has not come, and it was not called.
  /// - Throws: What `body` throws, or `SystemError`.
  func whilePaused<Result>(limit: UInt64, _ body: () throws -> Result) throws -> Result? {
    guard !processors.isEmpty else { return try body() }
    let pause = try ProcessorPause()
    let processors = processors
    return try pause.hold(processors.count, limit: limit) {
      for processor in processors {
        processor.inspection.ask(toPauseFor: pause)
        processor.kick()
      }
    } _: {
      try body()
    }
  }

  /// Ends all vCPU threads; the run's outcome has been decided.
  func stop() {
    precondition(control.isEnding, "vCPUs stop after the run has ended")
    for processor in processors { processor.kick() }
    inspections = processors.map(\.inspection)
    // Letting go of a thread joins it.
    processors = []
  }

  /// The local APICs that are in the kernel, as lines of text: as they are, or after the end as they were, if
  /// that was asked for at the start.
  ///
  /// - Parameter limit: How long to wait for the processors to answer, in milliseconds.
  /// - Returns: Lines for a user.
  func localAPICReport(limit: Int = 1000) -> [String] {
    for processor in processors {
      processor.inspection.askForLocalAPIC()
      processor.kick()
    }
    let asked = processors.isEmpty ? inspections : processors.map(\.inspection)
    for _ in 0..<limit where !processors.isEmpty {
      if asked.allSatisfy({ $0.localAPIC != nil }) { break }
      usleep(1000)
    }
    return asked.enumerated().flatMap { number, inspection in
      inspection.localAPIC.map { ControllerReport.localAPIC(number, $0) }
        ?? ["local APIC \(number): its processor does not answer"]
    }
  }

  /// Looks, at each call, whether the whole machine has halted for good; to be called once a second.
  ///
  /// Two calls are needed: an idle machine is asked at one, and its answers are read at the next. A
  /// machine that uses processor time is not disturbed.
  ///
  /// - Returns: Whether no interrupt can wake any processor.
  func haveHalted() -> Bool {
    if isAsking, processors.allSatisfy(\.inspection.isStopped) { return true }
    let time = Self.processTime()
    // 2 ms a second: what an idle guest's timer ticks use is well above.
    isAsking = time &- processTime < 2_000_000
    processTime = time
    if isAsking {
      for processor in processors {
        processor.inspection.ask()
        processor.kick()
      }
    }
    return false
  }

  private static func processTime() -> UInt64 {
    var time = timespec()
    // SAFETY: the result is a live local.
    _ = unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// A vCPU for others than its thread: while that does not run, or waits in a ``ProcessorPause``.
  private final class LentVCPU: @unchecked Sendable {
    // Sendable: the vCPU is one thread's at a time, as above; a gate's lock lies between them.
    let vcpu: VCPU
    private let interrupts: (any ProcessorInterrupts)?
    private let cpuid: [CPUIDEntry]

    init(_ vcpu: VCPU, _ interrupts: (any ProcessorInterrupts)?, cpuid: [CPUIDEntry]) {
      self.vcpu = vcpu
      self.interrupts = interrupts
      self.cpuid = cpuid
    }

    func registers(msrs: [UInt32]) throws(KVMError) -> ProcessorState {
      try vcpu.processorState(cpuid: cpuid, msrs: msrs)
    }

    func state() throws -> InterruptState.Processor {
      try interrupts?.state(of: vcpu) ?? vcpu.interruptState()
    }

    func restore(_ state: InterruptState.Processor) throws {
      if let interrupts {
        try interrupts.restore(state, to: vcpu)
      } else {
        try vcpu.restore(state)
      }
    }
  }

  private final class Gate: Sendable {
    let closed = Mutex(())
  }
}
