import Glibc
import Interrupts
import TestSupport
import Testing

@testable import Machine

/// From one mode into another.
struct Transfer: Sendable, CustomTestStringConvertible {
  let from: InterruptMode
  let to: InterruptMode

  static let all = InterruptMode.allCases.flatMap { from in
    InterruptMode.allCases.map { Transfer(from: from, to: $0) }
  }

  var testDescription: String { "\(from) to \(to)" }

  /// Whether all local APICs in it end an interrupt when the guest does.
  ///
  /// A software KVM's end it as they deliver it, and nobody can tell what is in service.
  var isExact: Bool { from == .user && to == .user || hasExactKVM }
}

/// Whether this machine's KVM ends interrupts when the guest does.
private let hasExactKVM = unsafe getenv("APUS_TEST_EXACT_KVM") != nil

/// Saves a guest's interrupts in one mode, and has another guest go on with them in another: it gets what the
/// first would have got.
///
/// The first guest is saved with its interrupt flag clear, or inside a handler, since the second begins at its own
/// first instruction. All goes through the bytes of a file.
@Suite(KVMDevice.required, .serialized) struct InterruptTransferTests {
  private func transfer(
    _ transfer: Transfer,
    up: [UInt32] = [],
    _ first: CommandedGuest
  ) throws -> CommandedGuest {
    let saved = try InterruptState(bytes: first.save(transfer.from).bytes)
    return try CommandedGuest(transfer.to, restoring: saved, up: up)
  }

  private func end(_ guest: CommandedGuest) throws {
    try guest.endInterrupt()
    try guest.leaveHandler()
    try guest.settle()
  }

  @Test(arguments: Transfer.all)
  func anEdgeThatIsPendingComesOnce(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setPin(16, isMasked: false, isLevel: false)
    try first.setInterruptFlag(false)
    try first.setLine(16, true)
    try first.settle()
    #expect(first.takeInterrupts() == [])

    // The line is still up, which is no further edge.
    let second = try transfer(mode, up: [16], first)
    try second.settle()
    #expect(second.takeInterrupts() == [0x41])
    try end(second)
    #expect(second.takeInterrupts() == [])
    try second.setLine(16, false)
    try second.setLine(16, true)
    try second.settle()
    #expect(second.takeInterrupts() == [0x41])
  }

  @Test(arguments: Transfer.all)
  func aLevelThatIsUpInterruptsUntilItFalls(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setInterruptFlag(false)
    try first.setLine(17, true)
    try first.settle()

    let second = try transfer(mode, up: [17], first)
    try second.settle()
    let taken = second.takeInterrupts()
    #expect(Set(taken) == [0x42])
    // Of a software KVM, an end comes too early, and the interrupt once more.
    #expect(mode.to != .user && !hasExactKVM || taken.count == 1)
    try second.setLine(17, false)
    try end(second)
    if mode.to == .user || hasExactKVM { #expect(second.takeInterrupts() == []) }
    for _ in 1..<max(1, taken.count + second.takeInterrupts().count) { try end(second) }
    #expect(second.takeInterrupts() == [])
    // It is as good as before.
    try second.setLine(17, true)
    try second.settle()
    #expect(Set(second.takeInterrupts()) == [0x42])
  }

  @Test(arguments: Transfer.all)
  func whatWaitsBehindAMaskComesWhenItIsLifted(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setPin(17, isMasked: true)
    try first.setLine(17, true)
    try first.setPin(16, isMasked: true, isLevel: false)
    try first.settle()

    let second = try transfer(mode, up: [17], first)
    try second.settle()
    #expect(second.takeInterrupts() == [])
    try second.setPin(17, isMasked: false)
    try second.settle()
    #expect(Set(second.takeInterrupts()) == [0x42])
  }

  /// The line rises again inside the handler: that comes after the end, and not before.
  @Test(arguments: Transfer.all.filter(\.isExact))
  func anInterruptInServiceIsEndedByTheOtherGuest(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setLine(17, true)
    try first.settle()
    #expect(first.takeInterrupts() == [0x42])
    let state = try first.save(mode.from)
    #expect(state.chips.ioAPIC.entries[17].remoteIRR)
    #expect(state.processors[0].localAPIC.inServiceVectors == [0x42])

    let second = try transfer(mode, up: [17], first)
    // Another of a lower priority waits as well.
    try second.setPin(16, isMasked: false, isLevel: false)
    try second.setLine(16, true)
    try second.settle()
    #expect(second.takeInterrupts() == [])
    try second.endInterrupt()
    try second.settle()
    // The second guest is in no handler, so that both come at once, one inside the other or after it.
    #expect(second.takeInterrupts() == [0x42])
    try second.setLine(17, false)
    try end(second)
    #expect(second.takeInterrupts() == [0x41])
    try end(second)
    #expect(second.takeInterrupts() == [])
  }

  /// By the 8259s and LINT0.
  @Test(arguments: Transfer.all)
  func theTimerChipGoesOn(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setInterruptFlag(false)
    // Vectors from 0x30 and 0x38, all masked but IRQ 0; mode 2, every 20 ms.
    try first.write([
      (0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1), (0xA0, 0x11), (0xA1, 0x38), (0xA1, 2),
      (0xA1, 1), (0x21, 0xFE), (0xA1, 0xFF), (0x43, 0x34), (0x40, 0x37), (0x40, 0x5D),
    ])
    try first.settle()

    let second = try transfer(mode, first)
    for _ in 0..<4 {
      #expect(second.waitForInterrupt() == 0x30)
      try second.write([(0x20, 0x20)])
      try second.leaveHandler()
    }
  }

  @Test(arguments: Transfer.all)
  func theTimerOfTheLocalAPICGoesOn(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setInterruptFlag(false)
    try first.setLocalAPIC(0x3E0, 0xB)
    // Periodic, every 30 ms.
    try first.setLocalAPIC(0x320, 1 << 17 | UInt32(CommandedGuest.timerVector))
    try first.setLocalAPIC(0x380, 30_000_000)
    try first.settle()

    let second = try transfer(mode, first)
    for _ in 0..<4 {
      #expect(second.waitForInterrupt() == CommandedGuest.timerVector)
      try second.endInterrupt()
      try second.leaveHandler()
    }
  }

  @Test(arguments: Transfer.all)
  func aTimerThatEndsOnceDoesSoInTheOtherGuest(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    try first.setInterruptFlag(false)
    try first.setLocalAPIC(0x3E0, 0xB)
    try first.setLocalAPIC(0x320, UInt32(CommandedGuest.timerVector))
    // Far more than saving takes.
    try first.setLocalAPIC(0x380, 1_500_000_000)

    let second = try transfer(mode, first)
    #expect(second.waitForInterrupt() == CommandedGuest.timerVector)
    try end(second)
    #expect(second.takeInterrupts() == [])
  }

  @Test(arguments: Transfer.all)
  func routesAreTheOtherGuestsToo(mode: Transfer) throws {
    let first = try CommandedGuest(mode.from)
    var table = RoutingTable.pc
    table.routes[GSI(17)] = nil
    table.routes[GSI(18)] = [.pin(.ioAPIC(17))]
    try first.rig.rig.board.plane.setRoutes(table)
    try first.settle()

    let second = try transfer(mode, first)
    try second.setLine(18, true)
    try second.settle()
    #expect(Set(second.takeInterrupts()) == [0x42])
  }

  @Test func aStateOfAnotherNumberOfProcessorsIsRefused() throws {
    let first = try CommandedGuest(.user)
    var state = try first.save(.user)
    state.processors.append(InterruptState.Processor())
    #expect(throws: InterruptStateError.processorCount(saved: 2, machine: 1)) {
      try CommandedGuest(.user, restoring: state)
    }
  }

  /// A guest goes on after it was saved, and what is saved while it runs is whole each time.
  @Test(arguments: InterruptMode.allCases)
  func aGuestThatIsSavedGoesOn(mode: InterruptMode) throws {
    let guest = try CommandedGuest(mode)
    try guest.setPin(16, isMasked: false, isLevel: false)
    for _ in 0..<20 {
      try guest.setLine(16, true)
      try guest.setLine(16, false)
      let state = try guest.save(mode)
      #expect(state.processors.count == 1)
      #expect(guest.waitForInterrupt() == 0x41)
      try guest.endInterrupt()
      try guest.leaveHandler()
    }
  }
}
