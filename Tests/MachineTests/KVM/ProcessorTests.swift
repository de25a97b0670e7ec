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
    ] as [([UInt8], Outcome)]
  )
  func whatTheGuestDoesEndsTheRun(code: [UInt8], outcome: Outcome) throws {
    let rig = try ProcessorRig(code)
    #expect(rig.outcome() == outcome)
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

  @Test func theFirstProcessorStartsTheSecond() throws {
    let rig = try ProcessorRig(
      TinyCode.startSecond,
      count: 2,
      data: [0x8000: TinyCode.exitInRealMode]
    )
    #expect(rig.outcome() == .exit(7))
  }

  @Test(arguments: [1, 4])
  func processorsStopWhateverTheyAreDoing(count: Int) throws {
    for code in [TinyCode.spin, TinyCode.idle, TinyCode.haltForGood] {
      let rig = try ProcessorRig(code, count: count)
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

  @Test func aMachineWhoseProcessorsHaveAllHaltedForGoodHasHalted() async {
    await #expect(processExitsWith: .success) {
      let rig = try ProcessorRig(TinyCode.haltForGood, count: 3)
      let hasHalted = waitUntil {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }

  @Test func aMachineThatWaitsForAnInterruptHasNotHalted() async {
    await #expect(processExitsWith: .success) {
      let rig = try ProcessorRig(TinyCode.idle, count: 3)
      let hasHalted = waitUntil(seconds: 2) {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(!hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }

  @Test func aMachineThatSpinsHasNotHalted() async {
    await #expect(processExitsWith: .success) {
      let rig = try ProcessorRig(TinyCode.spin)
      let hasHalted = waitUntil(seconds: 1) {
        usleep(100_000)
        return rig.processors.haveHalted()
      }
      exit(!hasHalted && rig.rig.control.result == nil ? 0 : 1)
    }
  }
}
