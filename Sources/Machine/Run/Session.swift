import DeviceModel
import Glibc
import GuestMemory
import HostOS
import Interrupts
import KVM
import Logging
import Platform
import RemoteDevice
import Synchronization
import Virtio

/// What outlives a restart of the guest: the host's ends of its ports, signals, and KVM itself.
final class Session {
  /// The first real-time signal that glibc leaves free; users' own signals stay theirs.
  static var kickSignal: Int32 { 34 }
  /// How long a guest may take to power off after its power button was pressed, in seconds.
  private static var powerOffLimit: UInt64 { 10 }
  /// How long standard error may take nothing of a report, in milliseconds.
  private static var reportPatience: Int32 { 1000 }

  private let configuration: MachineConfiguration
  private let system: KVMSystem
  private let mode: InterruptMode
  private let signals: SignalQueue
  let serial: StreamPort
  private let console: HostConsole
  // The disks, networks and sockets are here or in processes of their own.
  private let isolated: IsolatedDevices?
  private let disks: [DiskSource]
  private let networks: [any NetBackend]
  private let sockets: VsockSockets?
  // For all restarts: a process that is away just then comes back.
  private let remotes: [RemoteLink.Device]
  // Of an author's, in this process; each board has its own of each.
  private let models: [PCIDeviceModel]
  /// The machine that is put back at the first start.
  private var saved: SavedMachine?
  let machineControl: MachineControl
  private var controlServer: ControlServer?
  private let recorder: MessageRecorder?
  private let current = CurrentControl()
  private let receiver = CurrentSerial()
  private let logger = Logger(label: "machine")

  init(_ configuration: MachineConfiguration, _ models: [PCIDeviceModel] = []) throws {
    self.configuration = configuration
    self.models = models
    let saved = try configuration.restorePath.map { try SavedMachine($0) }
    self.saved = saved
    system = try KVMSystem()
    mode =
      try configuration.interruptMode ?? saved?.snapshot.summary.mode
      ?? Self.defaultMode(system)
    try system.requireCapabilities(
      [
        .userMemory, .ioEventFD, .ioEventFDAnyLength, .immediateExit, .mpState, .setTSSAddress,
      ] + mode.capabilities
    )
    let limit = try system.maximumVCPUs()
    guard configuration.processorCount <= limit else {
      throw MachineError.hostProcessorLimit(asked: configuration.processorCount, limit: limit)
    }
    // Before any thread: each of them then has these signals blocked.
    signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])
    let quit = { @Sendable [current] in current.stop() }
    serial = try StreamPort(configuration.serial, onQuit: quit)
    console = try HostConsole(
      terminal: configuration.console,
      ports: configuration.ports,
      onQuit: quit
    )
    recorder = try Self.makeRecorder(configuration)
    isolated = try IsolatedDevices.start(configuration, recorder, console)
    disks = try isolated == nil ? configuration.disks.map { try $0.open() } : []
    networks = try isolated == nil ? configuration.networks.map { try NetworkLink.open($0) } : []
    sockets = try isolated == nil ? configuration.vsock?.listen() : nil
    remotes = try RemoteLink.open(configuration, recorder)
    let machineControl = try MachineControl(configuration, isolated)
    self.machineControl = machineControl
    if let path = configuration.interruptStatePath { try InterruptStateFile.check(path) }
    if let path = configuration.savePath { try SavedMachine.check(path) }
    try serial.start { [receiver] bytes in receiver.receive(bytes) }
    try console.start()
    controlServer = try configuration.controlPath.map {
      try ControlServer($0, machineControl.handlers, logger: Logger(label: "control"))
    }
  }

  /// Ends what the constructor started.
  func close() {
    machineControl.saves.close("the machine has ended")
    controlServer = nil
    serial.stop()
    console.stop()
    recorder?.finish()
  }

  /// Whether the user has asked for the end of the guest.
  var isStopping: Bool { current.isStopping }

  /// Boots the guest and runs it to its end.
  func runOnce() throws -> Outcome {
    let control = try RunControl()
    current.set(control)
    let clock = try HostClock()
    let output = try makeSerialOutput(clock)
    defer { output?.finish() }
    let cpuid = try makeCPUID()
    let vm = try system.makeVM()
    try vm.setTSSAddress(MemoryMap.kvmTaskState.rawValue)
    try vm.setIdentityMapAddress(MemoryMap.kvmIdentityMap.rawValue)
    let board = try Board(
      configuration,
      physicalAddressBits: cpuid.physicalAddressBits,
      plane: try makePlane(vm, cpuid, clock, control),
      attachments: Board.Attachments(
        serial: output,
        console: try isolated?.console == nil ? console.makeDevice() : nil,
        disks: disks,
        networks: networks,
        sockets: sockets,
        remotes: remotes,
        models: models,
        isolated: isolated,
        mapper: try MemorySlots(vm, limit: UInt32(clamping: vm.check(.memorySlots))),
        system: control,
        clock: clock
      )
    )
    defer { board.stop() }
    machineControl.follow(board.plane)
    defer { machineControl.follow(nil) }
    for (slot, region) in board.memory.regions.enumerated() {
      try vm.setMemoryRegion(
        slot: UInt32(slot),
        guestAddress: region.start.rawValue,
        size: region.count,
        unsafeHostAddress: board.memory.unsafeHostAddress(of: region)
      )
    }
    let saved = saved.take()
    let start = try saved == nil ? load(into: board) : nil
    try saved?.restore(to: board, mode: mode)
    receiver.set(board.serial, resume: { [serial] in serial.resume() })
    defer { receiver.set(nil, resume: {}) }
    let processors = try makeProcessors(vm, cpuid, board, control, start, saved)
    let saver = MachineSaver(
      system: system,
      vm: vm,
      board: board,
      processors: processors,
      control: control,
      mode: mode
    )
    ProgramImage.releaseStartupPages()
    do {
      let outcome = try wait(control, board, processors, saver)
      processors.stop()
      if configuration.dumpsInterrupts { report(board, processors, isRunning: false) }
      try saveInterrupts(board, processors)
      return outcome
    } catch {
      // The vCPUs would run on, and letting go of their threads wait for them.
      control.end(.failed("\(error)"))
      processors.stop()
      throw error
    }
  }

  /// Makes the vCPUs and lets them run, from `start` or as they were saved.
  private func makeProcessors(
    _ vm: VM,
    _ cpuid: CPUIDBuilder,
    _ board: Board,
    _ control: RunControl,
    _ start: CPUStartState?,
    _ saved: SavedMachine?
  ) throws -> Processors {
    func make() throws -> Processors {
      try Processors(
        count: configuration.processorCount,
        vm: vm,
        cpuid: cpuid,
        start: start,
        board: board,
        control: control,
        notesInterrupts: configuration.dumpsInterrupts,
        restoring: saved?.snapshot.interrupts,
        registers: saved?.snapshot.processors
      ) {
        try saved?.finish(board, vm)
      }
    }
    guard let saved else { return try make() }
    return try SavedMachine.explaining(saved.path) {
      do {
        return try make()
      } catch let error as KVMError {
        // What no processor can be in, or not this one; or the host has failed, which the text tells.
        throw SnapshotError.mismatch("\(error); save it again, or restore it where it was saved")
      } catch let error as InterruptError {
        throw SnapshotError.mismatch("\(error); save it again")
      }
    }
  }

  /// Puts the kernel and the firmware's tables into memory.
  ///
  /// - Returns: Where the first processor begins.
  private func load(into board: Board) throws -> CPUStartState {
    let tables = board.tables
    try board.memory.write(tables.bytes, at: tables.address)
    return try Bootloader(BootRequest(configuration))
      .load(into: board.memory, map: board.map, rsdp: tables.address).cpu
  }

  /// Shows the state of interrupt controllers and devices on standard error.
  private func report(_ board: Board, _ processors: Processors, isRunning: Bool) {
    let report = InterruptReport(
      mode: mode,
      plane: board.plane,
      localAPICs: mode == .user ? [] : processors.localAPICReport()
    )
    let devices = DeviceReport(
      networks: board.networks,
      balloon: board.balloon,
      statistics: isRunning
        ? board.balloon?.freshStatistics(within: DeviceReport.patience)
        : board.balloon?.statistics.latest,
      isolated: isolated?.reports ?? []
    )
    // Nobody may be listening: the guest goes on, and can be ended.
    _ = try? FileIO.write(
      STDERR_FILENO,
      Array((report.text + devices.text).utf8),
      patience: Self.reportPatience
    )
  }

  /// Keeps the state of all interrupts in a file, if that was asked for.
  private func saveInterrupts(_ board: Board, _ processors: Processors) throws {
    guard let path = configuration.interruptStatePath else { return }
    guard let state = try processors.interruptState(of: board.plane, mode) else {
      logger.error("--save-interrupts \(path): a processor does not answer; ask again")
      return
    }
    try InterruptStateFile.write(state, to: path)
  }

  private func makeCPUID() throws -> CPUIDBuilder {
    let supported = try system.supportedCPUID()
    var builder = CPUIDBuilder(
      supported: supported,
      topology: CPUTopology(count: configuration.processorCount)
    )
    builder.hasKernelLocalAPIC = mode != .user
    // On Intel, KVM takes a write of the deadline for its own local APIC before it asks whether there is
    // one, and it would be lost.
    builder.hasTSCDeadlineTimer =
      mode == .user ? CPUIDTable(supported).isAMD : try system.check(.tscDeadlineTimer) > 0
    return builder
  }

  /// The best mode that this KVM has.
  private static func defaultMode(_ system: KVMSystem) throws(KVMError) -> InterruptMode {
    try system.check(.splitIRQChip) > 0 ? .split : .kernel
  }

  private func makePlane(
    _ vm: VM,
    _ cpuid: CPUIDBuilder,
    _ clock: HostClock,
    _ control: RunControl
  ) throws -> any MachinePlane {
    switch mode {
    case .kernel:
      try vm.createIRQChip()
      try vm.createPIT2(speakerDummy: true)
      return try KernelPlane(vm)
    case .split:
      return try SplitPlane(vm, clock: clock) { reason in control.end(.failed(reason)) }
    case .user:
      return try UserPlane(
        vm,
        count: configuration.processorCount,
        physicalAddressBits: cpuid.physicalAddressBits,
        clock: clock
      )
    }
  }

  /// Waits for the outcome, on the main thread.
  private func wait(
    _ control: RunControl,
    _ board: Board,
    _ processors: Processors,
    _ saver: MachineSaver
  ) throws -> Outcome {
    let poller = try Poller()
    try poller.add(signals.rawValue, token: 0)
    try poller.add(control.event.rawValue, token: 1)
    try poller.add(machineControl.saves.event.rawValue, token: 2)
    var deadline: UInt64?
    while true {
      if let outcome = control.result { return outcome }
      try poller.wait(timeout: 1000) { _ in }
      while let signal = signals.next() {
        if signal == SIGUSR1 {
          report(board, processors, isRunning: true)
          do {
            try saveInterrupts(board, processors)
          } catch {
            // The guest goes on, and another signal may find the file's disk less full.
            logger.error("--save-interrupts: \(error)")
          }
        } else if signal == SIGUSR2, let path = configuration.savePath {
          do throws(MachineError) {
            try saver.save(to: path)
          } catch {
            logger.error("--save: \(error)")
          }
        } else if signal == SIGUSR2 {
          resize(board.disks)
          isolated?.resizeDisks()
        } else if deadline == nil, board.powerManagement.isPowerButtonEnabled {
          logger.notice("signal \(signal): power button pressed")
          current.noteStopping()
          board.powerManagement.pressPowerButton()
          deadline = MonotonicClock.seconds + Self.powerOffLimit
        } else {
          current.stop()
        }
      }
      if let path = machineControl.saves.take() { save(to: path, saver, control) }
      if let deadline, MonotonicClock.seconds >= deadline { control.end(.stopped) }
      if processors.haveHalted() { control.end(.halted) }
    }
  }

  /// Tells the guest of disks that have changed their size, on a thread of its own: a server takes its time
  /// to answer.
  private func resize(_ disks: [Block]) {
    do throws(SystemError) {
      let thread = try Thread("resize") { [logger] in
        for disk in disks { disk.resize(logging: logger) }
      }
      thread.detach()
    } catch {
      logger.warning("the sizes of the disks: \(error)")
    }
  }

  /// The control of the run that is going on.
  private final class CurrentControl: Sendable {
    private struct State {
      var control: RunControl?
      var isStopping = false
    }

    private let state = Mutex(State())

    func set(_ new: RunControl) {
      let isStopping = state.withLock { state in
        state.control = new
        return state.isStopping
      }
      if isStopping { new.end(.stopped) }
    }

    /// Whether the user wants an end, whatever the guest does: a restart is none.
    var isStopping: Bool { state.withLock { $0.isStopping } }
    func noteStopping() { state.withLock { $0.isStopping = true } }

    /// Ends the run, and any that would follow.
    func stop() {
      let control = state.withLock { state in
        state.isStopping = true
        return state.control
      }
      control?.end(.stopped)
    }
  }

  /// The serial port of the run that is going on.
  private final class CurrentSerial: Sendable {
    private let port = Mutex<Serial16550?>(nil)

    func set(_ new: Serial16550?, resume: @escaping @Sendable () -> Void) {
      new?.whenReceiverReady(resume)
      port.withLock { $0 = new }
    }

    func receive(_ bytes: ArraySlice<UInt8>) -> Int {
      port.withLock { $0 }?.receive(bytes) ?? 0
    }
  }
}
