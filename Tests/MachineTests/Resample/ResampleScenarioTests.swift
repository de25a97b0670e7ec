import Glibc
import TestSupport
import Testing

@testable import Machine

/// Level interrupts by eventfds: who interrupts, and who is told of the end.
@Suite(KVMDevice.required, .serialized) struct ResampleScenarioTests {
  /// With no interrupt controller in it, any KVM will do.
  @Test(arguments: Scenario.all)
  func ourControllersDoAsTheContractSays(scenario: Scenario) throws {
    let run = try ScenarioRun(.user)
    #expect(try run.run(scenario) == scenario.outcomes)
  }
}

/// The same of all controllers, and KVM's own above all: only on a KVM that ends interrupts when the guest does.
///
/// It runs in an emulated host; a test of ApusTests sees to that.
@Suite(
  .serialized,
  .enabled(
    if: getenv("APUS_TEST_EXACT_KVM") != nil,
    "a test in an emulated host runs these: this machine's KVM may end interrupts early"
  )
)
struct ResampleComparisonTests {
  @Test(arguments: Scenario.all.filter(\.isKernels))
  func theKernelDoesAsTheContractSays(scenario: Scenario) throws {
    let run = try ScenarioRun(nil)
    #expect(try run.run(scenario) == scenario.outcomes)
  }

  @Test(arguments: [.kernel, .split, .user] as [InterruptMode], Scenario.all)
  func ourPlanesDoAsTheContractSays(
    mode: InterruptMode,
    scenario: Scenario
  ) throws {
    let run = try ScenarioRun(mode)
    #expect(try run.run(scenario) == scenario.outcomes)
  }

  @Test(arguments: 0..<6 as Range<UInt64>)
  func ourPlanesDoAsTheKernelDoes(seed: UInt64) throws {
    let actions = Scenario.random(seed: seed, count: 30)
    let kernels = try ScenarioRun(nil).run(actions)
    for mode in [.kernel, .split, .user] as [InterruptMode] {
      #expect(try ScenarioRun(mode).run(actions, expecting: kernels) == kernels, "\(mode)")
    }
  }
}
