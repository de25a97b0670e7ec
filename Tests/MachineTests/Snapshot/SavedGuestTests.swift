import DeviceModel
import GuestMemory
import Glibc
import Interrupts
import TestSupport
import Testing

@testable import Machine

/// Guests that are saved to a file and go on in another machine, from the very instruction.
@Suite(KVMDevice.required, .serialized, .timeLimit(.minutes(5))) struct SavedGuestTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Saves `guest`, which ends, and has it go on.
  private func transfer(
    _ mode: InterruptMode,
    _ guest: CommandedGuest,
    up: [UInt32] = []
  ) throws -> CommandedGuest {
    let path = folder.path(of: "saved")
    try guest.rig.save(to: path)
    guard case .saved(path, let size) = guest.rig.rig.control.result else {
      Issue.record("\(String(describing: guest.rig.rig.control.result))")
      throw CommandedGuest.Stuck()
    }
    #expect(UInt64(try folder.bytes(at: path).count) == size)
    #expect(access(ReplacedFile.temporaryPath(of: path), F_OK) != 0)
    return try CommandedGuest(mode, saved: SavedMachine(path), up: up)
  }

  /// The flag would let the interrupt come before it is looked at.
  @Test(arguments: InterruptMode.allCases)
  func aLevelThatIsUpAndNotServedInterruptsAfterwards(mode: InterruptMode) throws {
    let first = try CommandedGuest(mode)
    try first.setInterruptFlag(false)
    try first.setLine(17, true)
    try first.settle()
    #expect(first.takeInterrupts() == [])

    let second = try transfer(mode, first, up: [17])
    try second.settle()
    #expect(second.takeInterrupts() == [])
    try second.setInterruptFlag(true)
    #expect(second.waitForInterrupt() == 0x42)
    try second.setLine(17, false)
    try second.endInterrupt()
    try second.leaveHandler()
    try second.settle()
    // A software KVM ends an interrupt as it delivers it, and the line is still up then.
    if mode == .user || hasExactKVM { #expect(second.takeInterrupts() == []) }
  }

  /// Saved inside its handler: the end of the interrupt has the line, which is still up, interrupt again.
  @Test(arguments: InterruptMode.allCases.filter { $0 == .user || hasExactKVM })
  func theEndOfAnInterruptInServiceDeliversItAgain(mode: InterruptMode) throws {
    let first = try CommandedGuest(mode)
    try first.setLine(17, true)
    #expect(first.waitForInterrupt() == 0x42)
    try first.settle()

    let second = try transfer(mode, first, up: [17])
    try second.settle()
    #expect(second.takeInterrupts() == [])
    try second.endInterrupt()
    try second.leaveHandler()
    #expect(second.waitForInterrupt() == 0x42)
    try second.setLine(17, false)
    try second.endInterrupt()
    try second.leaveHandler()
    try second.settle()
    #expect(second.takeInterrupts() == [])
    // The counters go on: one before and one after.
    let line = second.rig.rig.board.plane.lineReport.first { $0.gsi == GSI(17) }
    if mode != .kernel { #expect(line?.counters.ended == 2) }
  }

  @Test(arguments: InterruptMode.allCases)
  func theTimersGoOn(mode: InterruptMode) throws {
    let first = try CommandedGuest(mode)
    // Periodic, every 30 ms.
    try first.setLocalAPIC(0x3E0, 0xB)
    try first.setLocalAPIC(0x320, 1 << 17 | UInt32(CommandedGuest.timerVector))
    try first.setLocalAPIC(0x380, 30_000_000)
    for _ in 0..<2 {
      #expect(first.waitForInterrupt() == CommandedGuest.timerVector)
      try first.endInterrupt()
      try first.leaveHandler()
    }

    let second = try transfer(mode, first)
    for _ in 0..<4 {
      #expect(second.waitForInterrupt() == CommandedGuest.timerVector)
      try second.endInterrupt()
      try second.leaveHandler()
    }
  }

  /// What is in memory, and what is not: a page of zeroes takes no room.
  @Test func memoryIsWhatItWas() throws {
    let first = try CommandedGuest(.split)
    let memory = first.rig.rig.board.memory
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try memory.write(bytes, at: GuestAddress(0x30_0FF0))
    try memory.write([1], at: GuestAddress(memory.regions[0].end.rawValue - 1))
    try memory.zero(GuestAddress(0x100_0000), count: 16 << 20)
    try first.settle()

    let second = try transfer(.split, first)
    let other = second.rig.rig.board.memory
    #expect(try other.read(at: GuestAddress(0x30_0FF0), count: bytes.count) == bytes)
    #expect(try other.read(at: GuestAddress(memory.regions[0].end.rawValue - 1), count: 1) == [1])
    #expect(try folder.bytes(at: folder.path(of: "saved")).count < 2 << 20)
    try second.settle()
  }

  @Test func aFileThatCannotBeWrittenLeavesTheGuestRunning() throws {
    let guest = try CommandedGuest(.split)

    let error = #expect(throws: MachineError.self) {
      try guest.rig.save(to: "/proc/nowhere/file")
    }

    #expect(error?.description.contains("/proc/nowhere/file") == true)
    #expect(guest.rig.rig.control.result == nil)
    try guest.setLine(17, true)
    #expect(guest.waitForInterrupt() == 0x42)
  }

  /// Twice over, with processors that spin, halt and have not been started.
  @Test(arguments: InterruptMode.allCases, [TinyCode.spin, TinyCode.idle])
  func whateverTheProcessorDoesItIsSaved(mode: InterruptMode, code: [UInt8]) throws {
    let path = folder.path(of: "saved")
    let first = try ProcessorRig(code, count: 2, mode: mode)
    try first.save(to: path)
    let state = try SavedMachine(path).snapshot
    let second = try ProcessorRig([], count: 2, mode: mode, saved: SavedMachine(path))
    try second.save(to: path)
    let other = try SavedMachine(path).snapshot

    #expect(other.summary == state.summary)
    #expect(other.processors[0].registers.rip >= ProcessorRig.codeAddress)
    #expect(other.processors[0].special == state.processors[0].special)
    #expect(other.processors[1].registers == state.processors[1].registers)
    #expect(other.interrupts.processors[0].activity != .waitingForStartUp)
    #expect(other.interrupts.processors[1].activity == .waitingForStartUp)
    // Time went on, and not back.
    #expect(
      other.interrupts.processors[0].timestampCounter
        >= state.interrupts.processors[0].timestampCounter
    )
  }

  @Test func aMachineThatDoesNotFitIsRefused() throws {
    let path = folder.path(of: "saved")
    try ProcessorRig(TinyCode.idle, mode: .split).save(to: path)

    let processors = #expect(throws: MachineError.self) {
      try ProcessorRig([], count: 2, mode: .split, saved: SavedMachine(path))
    }
    let mode = #expect(throws: MachineError.self) {
      try ProcessorRig([], mode: .user, saved: SavedMachine(path))
    }

    #expect(processors?.description.contains("--cpus 1") == true)
    #expect(mode?.description.contains("--irqchip split") == true)
  }
}

/// Whether this machine's KVM ends interrupts when the guest does.
private let hasExactKVM = unsafe getenv("APUS_TEST_EXACT_KVM") != nil
