import Glibc
import HostOS
import Platform
import Testing

@testable import Machine

/// The end of a run.
@Suite struct RunControlTests {
  @Test func thereIsNoOutcomeUntilThereIsOne() throws {
    let control = try RunControl()
    #expect(!control.isEnding)
    #expect(control.result == nil)
    #expect(control.event.drain() == 0)
  }

  @Test func theFirstReasonCounts() throws {
    let control = try RunControl()

    control.end(.halted)
    control.end(.stopped)
    control.request(.reset)

    #expect(control.result == .halted)
    #expect(control.isEnding)
    #expect(control.event.drain() == 1)
  }

  @Test(
    arguments: [
      (.powerOff, .powerOff), (.reset, .reset), (.exit(code: 33), .exit(33)),
    ] as [(SystemEvent, Outcome)]
  )
  func whatAGuestAsksOfTheMachineEndsTheRun(event: SystemEvent, outcome: Outcome) throws {
    let control = try RunControl()
    control.request(event)
    #expect(control.result == outcome)
  }

  @Test func ofManyAtOnceOneWins() throws {
    let control = try RunControl()
    var threads: [Task] = []
    for number in 0..<8 {
      threads.append(try Task { control.end(.exit(Int32(number))) })
    }
    threads = []

    #expect(threads.isEmpty)
    let first = try #require(control.result)
    #expect((0..<8).map { Outcome.exit(Int32($0)) }.contains(first))
    #expect(control.event.drain() == 1)
  }

  @Test(
    arguments: [
      (.powerOff, 0), (.stopped, 0), (.reset, 6), (.halted, 8), (.tripleFault, 10),
      (.failed("why"), 12), (.exit(33), 33), (.exit(0x1FF), 0xFF), (.exit(-1), 0xFF),
    ] as [(Outcome, Int32)]
  )
  func everyOutcomeHasItsCode(outcome: Outcome, code: Int32) {
    #expect(outcome.exitCode == code)
  }

  /// The guest's own codes are odd, so that none of them looks like one of ours.
  @Test func thePlainCodesAreEven() {
    let outcomes: [Outcome] = [.powerOff, .stopped, .reset, .halted, .tripleFault, .failed("")]
    let codes = outcomes.map(\.exitCode) + [Outcome.badInputCode, Outcome.hostFailureCode]
    #expect(codes.allSatisfy { $0 % 2 == 0 })
  }

  @Test func onlyWhatTheCodeDoesNotSayIsSaid() {
    #expect(Outcome.powerOff.message == nil)
    #expect(Outcome.stopped.message == nil)
    #expect(Outcome.exit(3).message == nil)
    #expect(Outcome.failed("vCPU 0: why").message == "vCPU 0: why")
    #expect(Outcome.reset.message?.contains("--on-reset restart") == true)
    #expect(Outcome.halted.message?.contains("interrupts disabled") == true)
    #expect(Outcome.tripleFault.message?.contains("triple fault") == true)
  }

  @Test(
    arguments: [
      ("processor\t: 0\naddress sizes\t: 46 bits physical, 48 bits virtual\n", 46),
      ("address sizes : 39 bits physical, 48 bits virtual", 39), ("processor : 0\n", nil),
      ("address sizes : many", nil), ("", nil),
    ] as [(String, Int?)]
  )
  func theHostsAddressesAreReadFromItsDescription(text: String, bits: Int?) {
    #expect(HostProcessor.physicalAddressBits(cpuinfo: text) == bits)
  }

  /// A thread that can be kept in an array; letting go of it waits for it.
  final class Task {
    private let thread: Thread
    init(_ body: sending @escaping () -> Void) throws { thread = try Thread("test", body) }
  }
}
