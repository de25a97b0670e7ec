import Glibc
import HostOS
import KVM
import TestSupport
import Testing

@testable import Machine

/// Processors on a real KVM: from exit to device and back, and to the end of the run.
@Suite(KVMDevice.required, .serialized) struct ProcessorTests {
  @Test(
    arguments: [
      (TinyCode.memoryEcho, 0x56), (TinyCode.portEcho, 0x5A), (TinyCode.portStringOut, 7),
      (TinyCode.portStringIn, 0x2C), (TinyCode.nobody, 0xFE),
    ] as [([UInt8], Int32)]
  )
  func accessesReachTheBoardsDevices(code: [UInt8], value: Int32) throws {
    let rig = try ProcessorRig(code, data: [0x2000: [5, 6, 7]])
    let outcome = try #require(rig.outcome())
    #expect(outcome.exitCode == (value << 1 | 1) & 0xFF)
  }

  @Test(
    arguments: [
      (TinyCode.powerOff, .powerOff), (TinyCode.reset, .reset),
      (TinyCode.tripleFault, .tripleFault),
    ] as [([UInt8], Outcome)],
    InterruptMode.allCases
  )
  func whatTheGuestDoesEndsTheRun(
    end: (code: [UInt8], outcome: Outcome),
    mode: InterruptMode
  ) throws {
    let rig = try ProcessorRig(end.code, mode: mode)
    #expect(rig.outcome() == end.outcome)
  }

  @Test func codeThatKVMCannotRunIsNamedWithItsAddress() throws {
    let rig = try ProcessorRig(TinyCode.jumpToNowhere)
    guard case .failed(let reason) = rig.outcome() else {
      Issue.record("\(String(describing: rig.rig.control.result))")
      return
    }
    #expect(reason.hasPrefix("vCPU 0: KVM cannot emulate the guest's instruction at 0xd0000000"))
    #expect(!reason.contains("\n"))
  }

  @Test(arguments: InterruptMode.allCases)
  func theFirstProcessorStartsTheSecond(mode: InterruptMode) throws {
    let rig = try ProcessorRig(
      TinyCode.startSecond,
      count: 2,
      data: [0x8000: TinyCode.exitInRealMode],
      mode: mode
    )
    #expect(rig.outcome() == .exit(7))
  }

  @Test(arguments: InterruptMode.allCases)
  func aProcessorThatHasHaltedCanBeStartedAgain(mode: InterruptMode) throws {
    let rig = try ProcessorRig(
      TinyCode.restartSecond,
      count: 2,
      data: [0x8000: TinyCode.countInRealMode],
      mode: mode
    )
    #expect(rig.outcome() == .exit(5))
  }

  @Test(arguments: InterruptMode.allCases)
  func anNMIReachesAProcessorThatHasHaltedForGood(mode: InterruptMode) throws {
    let rig = try ProcessorRig(
      TinyCode.interruptSecond,
      count: 2,
      // Vector 2 of the real-mode table leads to 0x900:0.
      data: [
        8: [0, 0, 0, 9], 0x8000: TinyCode.countInRealMode, 0x9000: TinyCode.exitInRealMode,
      ],
      mode: mode
    )
    #expect(rig.outcome() == .exit(7))
  }

  @Test(arguments: InterruptMode.allCases)
  func processorsTellOfTheirLocalAPICsWhateverTheyAreDoing(mode: InterruptMode) throws {
    for code in [TinyCode.spin, TinyCode.idle, TinyCode.haltForGood] {
      let rig = try ProcessorRig(code, count: 4, mode: mode)
      for _ in 0..<3 {
        let lines =
          mode == .user ? rig.rig.board.plane.chipReport : rig.processors.localAPICReport()
        let local = lines.filter { $0.hasPrefix("local APIC ") }
        #expect(local.count == 4)
        #expect(local.allSatisfy { $0.contains(": TPR 0x0, SVR 0x") }, "\(local)")
      }
      #expect(rig.rig.control.result == nil, "the guest goes on")
    }
  }

  @Test(arguments: [1, 4], InterruptMode.allCases)
  func processorsStopWhateverTheyAreDoing(count: Int, mode: InterruptMode) throws {
    for code in [TinyCode.spin, TinyCode.idle, TinyCode.haltForGood] {
      let rig = try ProcessorRig(code, count: count, mode: mode)
      usleep(20_000)
      let start = ContinuousClock.now

      rig.rig.control.end(.stopped)
      rig.processors.stop()

      #expect(ContinuousClock.now - start < .seconds(5))
      #expect(rig.outcome() == .stopped)
    }
  }

  @Test func processorsOfARunThatIsOverAlreadyNeverStart() throws {
    let rig = try ProcessorRig(TinyCode.powerOff)
    #expect(rig.outcome() == .powerOff)
    rig.processors.stop()
    rig.processors.stop()
  }

  // The following run in a process of their own: a machine has halted only if its process is idle.

  @Test(arguments: InterruptMode.allCases)
  func aMachineWhoseProcessorsHaveAllHaltedForGoodHasHalted(mode: InterruptMode) async {
    let name = mode.rawValue
    await #expect(processExitsWith: .success) { [name = name as String] in
      // The others wait to be started.
      let rig = try ProcessorRig(TinyCode.haltForGood, count: 3, mode: .named(name))
      let hasHalted = waitUntil {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }

  @Test(arguments: InterruptMode.allCases)
  func aMachineHasHaltedWhenItsStartedProcessorsHave(mode: InterruptMode) async {
    let name = mode.rawValue
    await #expect(processExitsWith: .success) { [name = name as String] in
      let rig = try ProcessorRig(
        TinyCode.startSecond,
        count: 3,
        data: [0x8000: TinyCode.countInRealMode],
        mode: .named(name)
      )
      let hasHalted = waitUntil {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }

  @Test(arguments: InterruptMode.allCases)
  func aMachineThatWaitsForAnInterruptHasNotHalted(mode: InterruptMode) async {
    let name = mode.rawValue
    await #expect(processExitsWith: .success) { [name = name as String] in
      let rig = try ProcessorRig(TinyCode.idle, count: 3, mode: .named(name))
      let hasHalted = waitUntil(seconds: 2) {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(!hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }

  @Test(arguments: InterruptMode.allCases)
  func aMachineThatSpinsHasNotHalted(mode: InterruptMode) async {
    let name = mode.rawValue
    await #expect(processExitsWith: .success) { [name = name as String] in
      let rig = try ProcessorRig(TinyCode.spin, mode: .named(name))
      let hasHalted = waitUntil(seconds: 1) {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(!hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }
}

extension InterruptMode {
  /// A mode by its name, which can be taken along into another process.
  fileprivate static func named(_ name: String) -> InterruptMode {
    InterruptMode(rawValue: name) ?? .kernel
  }
}
