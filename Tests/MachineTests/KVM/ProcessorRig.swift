import GuestMemory
import HostOS
import KVM
import Platform
import TestSupport
import Testing

@testable import Machine

/// A whole machine but for its loader: real KVM, a board, and processors at a few instructions.
final class ProcessorRig {
  static let codeAddress: UInt64 = 0x10_0000

  let system: KVMSystem
  let mode: InterruptMode?
  let vm: VM
  let rig: BoardRig
  let processors: Processors

  /// Starts `count` processors, the first at `code`, with `data` in guest memory by address.
  ///
  /// - Parameters:
  ///   - code: It runs in 32-bit protected mode, unless `start` says where else; the other processors wait to
  ///     be started.
  ///   - count: How many processors there are.
  ///   - data: What else is in guest memory.
  ///   - mode: Where the interrupt controllers are; `nil` for KVM's own, of which the machine knows nothing.
  ///   - start: The first processor's registers.
  ///   - state: The state of all interrupts at the start, if it is not that of a new machine.
  ///   - saved: The machine that goes on instead of `code` and `data`.
  ///   - change: Adds to the board what the test needs.
  /// - Throws: What KVM refuses.
  init(
    _ code: [UInt8],
    count: Int = 1,
    data: [UInt64: [UInt8]] = [:],
    mode: InterruptMode? = .kernel,
    start: CPUStartState? = nil,
    restoring state: InterruptState? = nil,
    saved: SavedMachine? = nil,
    change: (Board) throws -> Void = { _ in }
  ) throws {
    try Signals.installWakeUpHandler(for: Session.kickSignal)
    system = try KVMSystem()
    self.mode = mode
    vm = try system.makeVM()
    try vm.setTSSAddress(MemoryMap.kvmTaskState.rawValue)
    try vm.setIdentityMapAddress(MemoryMap.kvmIdentityMap.rawValue)
    var cpuid = CPUIDBuilder(
      supported: try system.supportedCPUID(),
      topology: CPUTopology(count: count)
    )
    cpuid.hasKernelLocalAPIC = mode != .user
    rig = try BoardRig(plane: try Self.makePlane(mode, vm, count: count)) { configuration, _ in
      configuration.hasDebugExit = true
      configuration.hasTestDevice = true
      configuration.processorCount = count
    }
    try change(rig.board)
    let memory = rig.board.memory
    for (slot, region) in memory.regions.enumerated() {
      try vm.setMemoryRegion(
        slot: UInt32(slot),
        guestAddress: region.start.rawValue,
        size: region.count,
        unsafeHostAddress: memory.unsafeHostAddress(of: region)
      )
    }
    if let saved {
      try saved.restore(to: rig.board, mode: mode ?? .kernel)
    } else {
      try memory.write(code, at: GuestAddress(Self.codeAddress))
      for (address, bytes) in data { try memory.write(bytes, at: GuestAddress(address)) }
    }
    processors = try Processors(
      count: count,
      vm: vm,
      cpuid: cpuid,
      start: start ?? CPUStartState(mode: .protected32, rip: Self.codeAddress),
      board: rig.board,
      control: rig.control,
      restoring: state ?? saved?.snapshot.interrupts,
      registers: saved?.snapshot.processors
    ) { [vm, rig] in try saved?.finish(rig.board, vm) }
  }

  /// Saves the machine and ends it.
  func save(to path: String) throws {
    let saver = MachineSaver(
      system: system,
      vm: vm,
      board: rig.board,
      processors: processors,
      control: rig.control,
      mode: mode ?? .kernel
    )
    try saver.save(to: path)
  }

  private static func makePlane(
    _ mode: InterruptMode?,
    _ vm: VM,
    count: Int
  ) throws -> any MachinePlane {
    switch mode {
    case nil:
      try vm.createIRQChip()
      return DetachedPlane()
    case .kernel:
      try vm.createIRQChip()
      try vm.createPIT2(speakerDummy: true)
      return try KernelPlane(vm)
    case .split:
      return try SplitPlane(vm, clock: HostClock()) { Issue.record("\($0)") }
    case .user:
      return try UserPlane(vm, count: count, physicalAddressBits: 40, clock: HostClock())
    }
  }

  deinit {
    rig.control.end(.stopped)
    processors.stop()
    rig.board.stop()
  }

  /// How the run ended, if it does within ten seconds.
  func outcome() -> Outcome? {
    _ = waitUntil { rig.control.result != nil }
    return rig.control.result
  }
}
