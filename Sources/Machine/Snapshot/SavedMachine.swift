import Glibc
import HostOS
import Interrupts
import KVM
import PCI

/// The file of a saved machine, open: all of it but the RAM, and the RAM once it is put back.
///
/// It belongs to the machine's main thread.
final class SavedMachine {
  let path: String
  let snapshot: MachineSnapshot
  private let reader: SnapshotReader

  /// Opens the file and reads all of it but the RAM.
  ///
  /// - Throws: ``MachineError/savedMachine(path:reason:)``.
  init(_ path: String) throws {
    self.path = path
    (reader, snapshot) = try Self.explaining(path) {
      let reader = try SnapshotReader(ReplacedFile.open(path, O_RDONLY))
      return (reader, try MachineSnapshot(from: reader))
    }
  }

  /// Puts memory and devices back; once, and before the board's vCPUs are made.
  ///
  /// - Throws: ``MachineError/savedMachine(path:reason:)`` for what does not fit, or is wrong with the file.
  func restore(to board: Board, mode: InterruptMode) throws {
    try Self.explaining(path) {
      try MachineSummary(board, mode: mode).check(snapshot.summary)
      try SnapshotMemory.read(from: reader, into: board.memory)
      try reader.finish()
    }
    try Self.explaining(path) {
      for function in snapshot.functions {
        let address = PCIAddress(device: function.slot)
        // The summaries agree on what is there.
        guard let own = board.pci.function(at: address) else { continue }
        try function.restore(to: own, board.isolated)
        board.pci.followConfiguration(at: address)
      }
    }
    snapshot.platform.restore(to: board)
    board.plane.router.add(snapshot.interrupts.lines.map { ($0.gsi, $0.counters) })
  }

  /// Does the rest, when the vCPUs and the interrupts have been put back: the guest's clock, which is worked out from the
  /// vCPUs' counters, and what devices have to do, which may interrupt.
  func finish(_ board: Board, _ vm: VM) throws(KVMError) {
    if let clock = snapshot.platform.clock {
      try vm.setClock(ClockState(nanoseconds: clock))
    }
    board.resumeDevices()
    board.signalDevices()
  }

  /// Finds whether a machine can be saved to `path`, and leaves everything as it is.
  static func check(_ path: String) throws(MachineError) {
    guard ReplacedFile.isReplaced(path) else {
      throw .savedMachine(path: path, reason: "no plain file; name one, or none that is there")
    }
    do throws(SystemError) {
      try ReplacedFile.check(path)
    } catch {
      throw .savedMachine(
        path: path,
        reason: "\(error.reason); name a file that can be made and written"
      )
    }
  }

  /// Whether the file at `path` begins as that of a saved machine.
  static func isThere(_ path: String) -> Bool {
    let magic = SnapshotSection.magic
    guard let file = try? ReplacedFile.open(path, O_RDONLY) else { return false }
    return (try? FileIO.read(file.rawValue, atMost: magic.count)) == magic
  }

  /// How large the machine at `path` is; nothing after that is looked at.
  static func summary(at path: String) throws -> MachineSummary {
    try explaining(path) {
      try MachineSnapshot.summary(from: SnapshotReader(ReplacedFile.open(path, O_RDONLY)))
    }
  }

  /// The state of the interrupts of the machine at `path`; nothing after it is looked at.
  static func interruptState(at path: String) throws -> InterruptState {
    try explaining(path) {
      let reader = try SnapshotReader(ReplacedFile.open(path, O_RDONLY))
      _ = try MachineSnapshot.summary(from: reader)
      return try MachineSnapshot.interrupts(from: reader)
    }
  }

  /// Has whatever is wrong with the file, or does not fit, tell which file it is.
  static func explaining<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as SnapshotError {
      throw MachineError.savedMachine(path: path, reason: "\(error)")
    } catch let error as InterruptStateError {
      throw MachineError.savedMachine(path: path, reason: "\(error)")
    } catch let error as SystemError {
      throw MachineError.savedMachine(
        path: path,
        reason: "\(error.reason); name a file that can be read"
      )
    }
  }
}
