import Glibc
import HostOS
import Interrupts
import KVM
import PCI
import Virtio

/// Saves a machine that runs; made for one run of it, by the machine's main thread, which alone calls.
final class MachineSaver {
  /// How long vCPUs may take to come out of the guest and of their devices, in milliseconds.
  private static var patience: UInt64 { 10_000 }
  /// How often the state is taken anew because a timer of a device has raised a line meanwhile.
  private static var attemptLimit: Int { 100 }

  private let system: KVMSystem
  private let vm: VM
  private let board: Board
  private let processors: Processors
  private let control: RunControl
  private let mode: InterruptMode

  init(
    system: KVMSystem,
    vm: VM,
    board: Board,
    processors: Processors,
    control: RunControl,
    mode: InterruptMode
  ) {
    self.system = system
    self.vm = vm
    self.board = board
    self.processors = processors
    self.control = control
    self.mode = mode
  }

  /// Saves the machine to a file and ends its run; after an error it goes on, and no file has changed.
  ///
  /// - Throws: ``MachineError/savedMachine(path:reason:)``.
  func save(to path: String) throws(MachineError) {
    do {
      let indices = try system.msrIndices()
      let isDone: Void? = try processors.whilePaused(limit: Self.patience) {
        // Something else has ended it meanwhile.
        guard !control.isEnding else { return }
        // What the devices have taken is done then, and told of: the guest's memory and its interrupts have it.
        defer { if !control.isEnding { board.resumeDevices() } }
        try board.pauseDevices()
        let size = try ReplacedFile.write(path) { number in try write(to: number, indices) }
        // With the vCPUs still held: none goes on.
        control.end(.saved(path: path, bytes: size))
      }
      guard isDone != nil else {
        throw MachineError.savedMachine(
          path: path,
          reason: "a processor does not come out of the guest, or of a device; ask again"
        )
      }
    } catch let error as MachineError {
      throw error
    } catch {
      throw .savedMachine(
        path: path,
        reason: "cannot save the machine, which goes on: \(error); mend that and ask again"
      )
    }
  }

  private func write(to number: Int32, _ indices: [UInt32]) throws -> UInt64 {
    var writer = try SnapshotWriter(to: number)
    try snapshot(indices).write(to: &writer)
    try SnapshotMemory.write(board.memory, to: &writer)
    try writer.finish()
    return writer.size
  }

  /// All but the RAM; no vCPU runs.
  private func snapshot(_ indices: [UInt32]) throws -> MachineSnapshot {
    var snapshot = MachineSnapshot()
    snapshot.summary = MachineSummary(board, mode: mode)
    snapshot.processors = try processors.currentRegisters(msrs: indices)
    for (number, processor) in snapshot.processors.enumerated() where processor.isVirtualizing {
      throw SnapshotError.mismatch(
        "processor \(number) runs virtual machines of its own, whose state KVM keeps; end them first"
      )
    }
    for (address, function) in board.pci.functions
    where !(function is any SavedPCIFunction || function is PCIHostBridge) {
      throw SnapshotError.mismatch(
        "\(function.name) (PCI device \(address.device)) keeps a state that is not saved; take that device away"
      )
    }
    // What another process says of its function stands still, and is asked for once: it may take its time.
    let others = try board.pci.functions.filter { !($0.function is PCITransport) }
      .map { try FunctionState($0.address, $0.function, board.isolated) }
    // Devices' timers go on. What one raises between two looks is in both parts, or the parts are taken again.
    for _ in 0..<Self.attemptLimit {
      let before = raisedCounts
      snapshot.interrupts = try processors.currentInterruptState(of: board.plane, mode)
      snapshot.platform = PlatformState(board)
      snapshot.functions = try board.pci.functions.map { address, function in
        try others.first { $0.slot == address.device }
          ?? FunctionState(address, function, board.isolated)
      }
      if raisedCounts == before { break }
    }
    snapshot.platform.clock = (try? vm.clock())?.nanoseconds
    return snapshot
  }

  /// How often each line rose; each rise changes it.
  private var raisedCounts: [UInt64] {
    board.plane.lineReport.map { $0.counters.raised &+ ($0.isAsserted ? 1 << 63 : 0) }
  }
}

extension ProcessorState {
  /// Whether the guest has turned virtualization on: EFER.SVME (APM volume 2, 3.1.7), or CR4.VMXE (SDM volume 3A,
  /// 2.5), bits 12 and 13.
  var isVirtualizing: Bool { special.efer >> 12 & 1 != 0 || special.cr4 >> 13 & 1 != 0 }
}
