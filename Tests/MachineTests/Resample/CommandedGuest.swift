import DeviceModel
import GuestMemory
import Glibc
import Interrupts
import Synchronization
import TestSupport

@testable import Machine

/// A 64-bit guest that does what a test tells it, one thing at a time, and reports each interrupt that it takes.
///
/// It asks a port for commands with interrupts on, and in its handlers with interrupts off, so that the test
/// chooses when an interrupt is ended and when its handler is left.
final class CommandedGuest {
  /// The vector of pin 16 of the I/O APIC; each further pin has the next.
  static let vector: UInt8 = 0x41
  /// The vector of IRQ 0 once a test has initialised the 8259s so.
  static let timerChipVector: UInt8 = 0x30
  /// The vector that tests give to the timer of the local APIC.
  static let timerVector: UInt8 = 0x51

  /// The guest does not answer.
  struct Stuck: Error {}

  let rig: ProcessorRig
  private let port: CommandPort
  private var lines: [UInt32: InterruptSource]

  /// Starts it; `mode` is as for ``ProcessorRig``.
  ///
  /// - Parameters:
  ///   - mode: Where the interrupt controllers are.
  ///   - state: What they hold at the start; without one, pins 16 and 17 are level-triggered and not masked.
  ///   - saved: The guest that goes on.
  ///   - isUp: GSIs whose line is up from the start, until the guest goes or ``lower(_:)``.
  /// - Throws: ``Stuck``, or what KVM refuses.
  init(
    _ mode: InterruptMode?,
    restoring state: InterruptState? = nil,
    saved: SavedMachine? = nil,
    up isUp: [UInt32] = []
  ) throws {
    var lines: [UInt32: InterruptSource] = [:]
    let port = CommandPort()
    self.port = port
    rig = try ProcessorRig(
      Program.code,
      data: Program.data,
      mode: mode,
      start: Program.start,
      restoring: state,
      saved: saved
    ) { board in
      for gsi in isUp {
        let line = try board.plane.makeLine(gsi)
        line.assert()
        lines[gsi] = line
      }
      try board.portBus.add(
        port,
        "commands",
        at: [BusRange(0x580, size: 4), BusRange(0x81, size: 1)]
      )
    }
    self.lines = lines
    guard state == nil, saved == nil else { return }
    for pin in 16..<18 { try setPin(pin, isMasked: false) }
    try settle()
    _ = takeInterrupts()
  }

  /// Raises a line, or lets it fall.
  func setLine(_ gsi: UInt32, _ level: Bool) throws {
    let line = try lines[gsi] ?? rig.rig.board.plane.makeLine(gsi)
    lines[gsi] = line
    if level { line.assert() } else { line.deassert() }
  }

  /// The state of all interrupts, with the guest held meanwhile.
  func save(_ mode: InterruptMode) throws -> InterruptState {
    let state = try rig.processors.interruptState(of: rig.rig.board.plane, mode, limit: 20_000)
    guard let state else { throw Stuck() }
    return state
  }

  /// Writes a pin's redirection entry: level-triggered or not, fixed, to processor 0 (82093AA, 3.2.4).
  func setPin(_ pin: Int, isMasked: Bool, isLevel: Bool = true) throws {
    let vector = UInt32(Self.vector) + UInt32(pin) - 16
    try store(UInt32(0x10 + 2 * pin), at: 0xFEC0_0000)
    try store(vector | (isLevel ? 1 << 15 : 0) | (isMasked ? 1 << 16 : 0), at: 0xFEC0_0010)
  }

  /// Writes a register of the local APIC.
  func setLocalAPIC(_ offset: UInt32, _ value: UInt32) throws {
    try store(value, at: 0xFEE0_0000 + offset)
  }

  /// Writes bytes to ports, in order.
  func write(_ writes: [(port: UInt32, value: UInt32)]) throws {
    for write in writes { try command([3, write.port, write.value]) }
  }

  /// Sets the interrupt flag outside of handlers, or clears it.
  func setInterruptFlag(_ isSet: Bool) throws { try command([isSet ? 5 : 4]) }

  /// Ends the interrupt that is served, at the local APIC (SDM volume 3A, 11.8.5).
  func endInterrupt() throws { try store(0, at: 0xFEE0_00B0) }

  /// Returns from the handler.
  func leaveHandler() throws { try command([2]) }

  private func store(_ value: UInt32, at address: UInt32) throws {
    try command([1, address, value])
  }

  private func command(_ words: [UInt32]) throws {
    port.post(words)
    guard waitUntil({ port.isDone }) else { throw Stuck() }
  }

  /// Waits until nothing happens any more: what the host's other threads have to do takes them a moment.
  func settle() throws {
    guard port.waitForQuiet() else { throw Stuck() }
  }

  /// Waits for an interrupt.
  ///
  /// - Returns: The vector; `nil` if none comes in ten seconds.
  func waitForInterrupt() -> UInt8? {
    _ = waitUntil { port.hasInterrupt }
    return port.takeInterrupt()
  }

  /// The vectors of the interrupts that the guest has taken since the last call.
  func takeInterrupts() -> [UInt8] { port.takeInterrupts() }

  /// What the guest reads its commands from, and writes its vectors to.
  private final class CommandPort: BusDevice {
    private struct State {
      var commands: ArraySlice<UInt32> = []
      /// How often the guest has asked for nothing, since something last happened.
      var idle = 0
      var interrupts: [UInt8] = []
    }

    private let state = Mutex(State())

    var isDone: Bool { state.withLock { $0.commands.isEmpty && $0.idle >= 2 } }

    func post(_ words: [UInt32]) {
      state.withLock { state in
        state.commands += words
        state.idle = 0
      }
    }

    var hasInterrupt: Bool { state.withLock { !$0.interrupts.isEmpty } }

    func takeInterrupt() -> UInt8? {
      state.withLock { $0.interrupts.isEmpty ? nil : $0.interrupts.removeFirst() }
    }

    func takeInterrupts() -> [UInt8] {
      state.withLock { state in
        defer { state.interrupts = [] }
        return state.interrupts
      }
    }

    func waitForQuiet() -> Bool {
      state.withLock { $0.idle = 0 }
      return waitUntil { state.withLock { $0.commands.isEmpty && $0.idle >= 15 } }
    }

    func read(_ access: BusAccess) -> UInt64 {
      let command = state.withLock { state -> UInt32? in
        if let next = state.commands.popFirst() { return next }
        state.idle += 1
        return nil
      }
      guard let command else {
        // Time for those who deliver interrupts, on a host of one processor.
        usleep(200)
        return 0
      }
      return UInt64(command)
    }

    func write(_ value: UInt64, _ access: BusAccess) {
      guard access.region == 1 else { return }
      state.withLock { state in
        state.interrupts.append(UInt8(truncatingIfNeeded: value))
        state.idle = 0
      }
    }
  }

  /// The guest's program and its tables.
  private enum Program {
    private static let interruptTable: UInt64 = 0x11_0000
    private static let tablePointer: UInt64 = 0x10_F000
    private static let stackTop: UInt64 = 0x12_0000
    private static let pageTables: UInt64 = 0x13_0000

    private static let entry: [UInt8] = [
      0x0F, 0x01, 0x1C, 0x25, 0x00, 0xF0, 0x10, 0x00,  // lidt [0x10f000]
      0xBA, 0x80, 0x05, 0x00, 0x00,  // mov edx,0x580
      0xBB, 0xF0, 0x00, 0xE0, 0xFE,  // mov ebx,0xfee000f0
      0xC7, 0x03, 0xFF, 0x01, 0x00, 0x00,  // mov dword [rbx],0x1ff
      0xFB,  // sti
    ]
    private static let loop: [UInt8] = [
      0xED,  // in eax,dx
      0x85, 0xC0,  // test eax,eax
      0x74, 0xFB,  // jz to the in
      0xFF, 0xC8,  // dec eax
      0x75, 0x08,  // jnz to the second dec
      0xED,  // in eax,dx
      0x89, 0xC3,  // mov ebx,eax
      0xED,  // in eax,dx
      0x89, 0x03,  // mov [rbx],eax
      0xEB, 0xEF,  // jmp to the first in
      0xFF, 0xC8,  // dec eax
      0x75, 0x04,  // jnz to the third dec
      0x5B,  // pop rbx
      0x58,  // pop rax
      0x48, 0xCF,  // iretq
      0xFF, 0xC8,  // dec eax
      0x75, 0x0B,  // jnz to the fourth dec
      0xED,  // in eax,dx
      0x89, 0xC3,  // mov ebx,eax
      0xED,  // in eax,dx
      0x87, 0xDA,  // xchg edx,ebx
      0xEE,  // out dx,al
      0x87, 0xDA,  // xchg edx,ebx
      0xEB, 0xD8,  // jmp to the first in
      0xFF, 0xC8,  // dec eax
      0x75, 0x03,  // jnz to the sti
      0xFA,  // cli
      0xEB, 0xD1,  // jmp to the first in
      0xFB,  // sti
      0xEB, 0xCE,  // jmp to the first in
    ]

    private static func handler(_ vector: UInt8, at address: UInt64) -> [UInt8] {
      let target = ProcessorRig.codeAddress + UInt64(entry.count)
      let distance = UInt32(truncatingIfNeeded: target &- (address + 11))
      return [
        0x50,  // push rax
        0x53,  // push rbx
        0xB0, vector,  // mov al,vector
        0xE6, 0x81,  // out 0x81,al
        0xE9,  // jmp to the loop
      ] + bytes(distance)
    }

    private static func bytes(_ value: some FixedWidthInteger & UnsignedInteger) -> [UInt8] {
      (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    static let code = entry + loop

    static var start: CPUStartState {
      var start = CPUStartState(
        mode: .long(pageTable: GuestAddress(pageTables)),
        rip: ProcessorRig.codeAddress
      )
      start.rsp = stackTop
      return start
    }

    static var data: [UInt64: [UInt8]] {
      var data: [UInt64: [UInt8]] = [:]
      data[start.gdtBase.rawValue] = start.gdt.flatMap { bytes($0) }
      data[tablePointer] = bytes(UInt16(0xFFF)) + bytes(interruptTable)
      for vector in [vector, vector + 1, timerChipVector, timerVector] {
        let address = ProcessorRig.codeAddress + 0x1000 + UInt64(vector) * 16
        data[address] = handler(vector, at: address)
        // Present, privilege 0, interrupt gate, to the code segment (SDM volume 3A, 6.14.1).
        let low =
          address & 0xFFFF | 0x10 << 16 | 0x8E00 << 32 | (address >> 16 & 0xFFFF) << 48
        data[interruptTable + UInt64(vector) * 16] = bytes(low) + bytes(UInt64(0))
      }
      // 4 GiB in pages of 2 MiB, present and writable (SDM volume 3A, 4.5).
      data[pageTables] = bytes(pageTables + 0x1000 | 3)
      for gigabyte in 0..<4 as Range<UInt64> {
        let directory = pageTables + 0x2000 + gigabyte * 0x1000
        data[pageTables + 0x1000 + gigabyte * 8] = bytes(directory | 3)
        data[directory] = (0..<512 as Range<UInt64>).flatMap { entry in
          bytes((gigabyte * 512 + entry) << 21 | 0x83)
        }
      }
      return data
    }
  }
}
