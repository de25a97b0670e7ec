// Fuzzes the file of a saved machine: whatever is in it, restoring ends in bounded time and memory, with one line if something is wrong,
// and nothing stays open. The file is one that fits, with changes; most have their checksums put right.
import CFuzzer
import FuzzSupport
import Glibc
import GuestMemory
import HostOS
import Logging
import PCI
import Platform

@testable import Machine
@testable import Virtio

LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
let folder = {
  var name = Array("/dev/shm/apus-fuzz-XXXXXX".utf8CString)
  precondition(mkdtemp(&name) != nil, "no temporary folder")
  return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}()
let path = "\(folder)/saved"

let disk = "\(folder)/disk"
atexit {
  for file in [path, disk] { unlink(file) }
  rmdir(folder)
}
let number = open(disk, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
precondition(number >= 0 && ftruncate(number, 64 * 512) == 0, "no disk")
close(number)

/// The machine that is put back: a virtio device of each kind that needs little of the host.
let configuration = {
  var configuration = MachineConfiguration(kernel: "kernel")
  configuration.memory = 16 << 20
  configuration.disks = [MachineConfiguration.Disk(path: disk)]
  configuration.balloon = MachineConfiguration.Balloon(size: 0)
  configuration.restorePath = path
  return configuration
}()

func makeBoard() throws -> Board {
  try Board(
    configuration,
    physicalAddressBits: 40,
    plane: DetachedPlane(),
    attachments: Board.Attachments(
      serial: SilentSerial(),
      console: try HostConsole.makeDetachedDevice(configuration),
      system: try RunControl(),
      clock: try HostClock()
    )
  )
}

/// The sections of a file that fits: a machine whose drivers have set up their queues.
let sections = try {
  let board = try makeBoard()
  defer { board.stop() }
  var snapshot = MachineSnapshot()
  snapshot.summary = MachineSummary(board, mode: .split)
  snapshot.processors = [ProcessorState()]
  snapshot.interrupts.processors = [InterruptState.Processor()]
  snapshot.platform = PlatformState(board)
  snapshot.functions = try board.pci.functions.map {
    try FunctionState($0.address, $0.function, nil)
  }
  for index in snapshot.functions.indices {
    guard var state = snapshot.functions[index].virtio else { continue }
    state.wanted = state.offered
    state.status = [.acknowledge, .driver, .featuresOK, .driverOK]
    for queue in state.queues.indices {
      let start = UInt64(index * 8 + queue + 1) << 16
      state.queues[queue].descriptorTable = start
      state.queues[queue].availableRing = start + 0x4000
      state.queues[queue].usedRing = start + 0x8000
      state.queues[queue].isEnabled = true
      state.queues[queue].place = .start(isPacked: state.wanted.contains(.packedRing))
    }
    snapshot.functions[index].virtio = state
  }
  try ReplacedFile.write(path) { number in
    var writer = try SnapshotWriter(to: number)
    try snapshot.write(to: &writer)
    try writer.write(.memory, number: 0, [0, 16, 0, 0, 0, 0, 0, 0, 1, 2, 3])
    try writer.finish()
  }
  let reader = try SnapshotReader(try OwnedFileDescriptor(opening: path, O_RDONLY))
  var sections: [SnapshotSection] = []
  repeat {
    let section = try reader.peek()
    sections.append(try reader.read(section.name))
  } while sections.last?.name != .end
  return sections
}()

/// The file with the script's changes.
func file(_ script: inout Script) -> [UInt8] {
  var changed = sections
  let shape = script.byte()
  while !script.isAtEnd, !changed.isEmpty {
    let choice = script.byte()
    let index = Int(script.byte()) % changed.count
    let count = changed[index].bytes.count
    let offset = count == 0 ? 0 : Int(script.word16()) % count
    switch choice & 15 {
    case 0...5 where count > 0: changed[index].bytes[offset] = script.byte()
    case 6...8 where count > 0:
      let word =
        choice & 0x10 == 0 ? UInt64(script.byte()) << (UInt64(choice >> 5) * 8) : script.word64()
      for place in offset..<min(offset + 8, count) {
        changed[index].bytes[place] = UInt8(
          truncatingIfNeeded: word >> UInt64(8 * (place - offset))
        )
      }
    case 9: changed[index].bytes.removeLast(min(count, Int(script.byte())))
    case 10: changed[index].bytes += (0..<Int(choice >> 4)).map { _ in script.byte() }
    case 11: changed[index].number = script.word32()
    case 12: changed.remove(at: index)
    case 13: changed.insert(changed[index], at: min(changed.count, Int(choice >> 4)))
    case 14: changed[index].name = SnapshotSection.Name.allCases[Int(choice >> 4) % 7]
    default: break
    }
  }
  // The end says how many there are, mostly.
  if shape & 1 == 0, let last = changed.indices.last, changed[last].name == .end {
    changed[last].bytes = SnapshotSection.little(UInt32(last))
  }
  var bytes =
    SnapshotSection.magic + SnapshotSection.little(SnapshotSection.version) + [0, 0, 0, 0]
  for section in changed {
    bytes += SnapshotSection.header(section.name, section.number, section.bytes) + section.bytes
  }
  if shape & 0x80 != 0 { bytes.removeLast(min(bytes.count, Int(script.word16()))) }
  if shape & 0x40 != 0, !bytes.isEmpty { bytes[Int(script.word32()) % bytes.count] ^= shape }
  return bytes
}

/// Restores the file, as a machine without processors does.
///
/// - Returns: Whether it fitted.
func restore(_ bytes: [UInt8]) throws -> Bool {
  let number = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
  precondition(number >= 0, "no file")
  try FileIO.writeAll(number, bytes)
  close(number)
  let board = try makeBoard()
  defer { board.stop() }
  do {
    let saved = try SavedMachine(path)
    try saved.restore(to: board, mode: .split)
    board.resumeDevices()
    board.signalDevices()
    return true
  } catch {
    require(error is MachineError, "another error: \(error)")
    require(!"\(error)".contains(where: \.isNewline), "more than a line: \(error)")
    return false
  }
}

// A file that fits is taken, or nothing below means anything; and what is made once and kept is there before anything is counted.
var none = Script(UnsafeBufferPointer(start: nil, count: 0))
require(try restore(file(&none)), "the file without changes is refused")
runFuzzer { count, arguments in
  LLVMFuzzerRunDriver(count, arguments) { data, size in
    let before = countOpen()
    var script = Script(UnsafeBufferPointer(start: data, count: size))
    do {
      _ = try restore(file(&script))
    } catch {
      fail("the host: \(error)")
    }
    require(countOpen() == before, "\(countOpen()) descriptors, \(before) before")
    return 0
  }
}
