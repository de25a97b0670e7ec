import HostOS
import TestSupport

@testable import Machine

/// One machine that goes through scenarios.
final class ScenarioRun {
  private let guest: CommandedGuest
  private let events: any ScenarioEvents
  private var devices: [Scenario.Device: ScenarioDevice] = [:]
  private var assigned: Set<Scenario.Device> = []
  /// Those that have signalled, and were not told of an end since.
  private var asserted: Set<Scenario.Device> = []
  private let isKernel: Bool
  private var handlers = 0
  private var mustEnd = false

  /// Makes a machine; with no `mode`, all that is done is done by KVM's own calls.
  init(_ mode: InterruptMode?) throws {
    guest = try CommandedGuest(mode)
    isKernel = mode == nil
    events =
      isKernel ? KernelEvents(vm: guest.rig.vm) : try PlaneEvents(guest.rig.rig.board.plane)
    for device in Scenario.Device.allCases { devices[device] = try ScenarioDevice() }
  }

  /// Goes through a scenario.
  func run(_ scenario: Scenario) throws -> [Scenario.Outcome] {
    try run(scenario.outcomes.map(\.action), expecting: scenario.outcomes)
  }

  /// Does as the actions say, and tells what came of each.
  ///
  /// An end or a leave is left out where the guest has nothing to end or to leave. What came of an action is what
  /// came until the guest was quiet; where it is less than `expected`, a busy host is given some seconds more.
  func run(
    _ actions: [Scenario.Action],
    expecting expected: [Scenario.Outcome] = []
  ) throws -> [Scenario.Outcome] {
    var outcomes: [Scenario.Outcome] = []
    for action in actions {
      if action == .end, !mustEnd { continue }
      if action == .leave, handlers == 0 || mustEnd { continue }
      let index = outcomes.count
      outcomes.append(
        try outcome(of: action, expected: index < expected.count ? expected[index] : nil)
      )
    }
    return outcomes
  }

  private func outcome(
    of action: Scenario.Action,
    expected: Scenario.Outcome?
  ) throws -> Scenario.Outcome {
    var outcome = Scenario.Outcome(action: action)
    try perform(action)
    let end = MonotonicClock.seconds + 5
    repeat {
      try guest.settle()
      outcome.interrupts += guest.takeInterrupts()
      outcome.told = (outcome.told + endsTold()).sorted { $0.rawValue < $1.rawValue }
    } while expected.map { outcome != $0 } ?? false && MonotonicClock.seconds < end
    handlers += outcome.interrupts.count
    if !outcome.interrupts.isEmpty { mustEnd = true }
    return outcome
  }

  /// The devices that have been told of an end since the last call.
  private func endsTold() -> [Scenario.Device] {
    devices.compactMap { name, device in
      // KVM tells all devices of the GSI, asserted or not; the contract has it tell those that are.
      guard device.end.drain() > 0, !isKernel || asserted.contains(name) else { return nil }
      asserted.remove(name)
      return name
    }
  }

  private func perform(_ action: Scenario.Action) throws {
    switch action {
    case .assign(let name):
      try events.assign(device(name))
      assigned.insert(name)
    case .deassign(let name):
      try events.deassign(device(name))
      assigned.remove(name)
      asserted.remove(name)
    case .signal(let name):
      try signal(device(name), isTaken: assigned.contains(name))
      asserted.insert(name)
    case .line(let level): try events.setLine(level)
    case .mask(let isMasked): try guest.setPin(16, isMasked: isMasked)
    case .end:
      try guest.endInterrupt()
      mustEnd = false
    case .leave:
      handlers -= 1
      try guest.leaveHandler()
    case .route(let pin): try events.route(to: pin)
    }
  }

  /// Raises an interrupt, and waits until whoever is to has taken it from the eventfd.
  private func signal(_ device: ScenarioDevice, isTaken: Bool) throws {
    device.interrupt.signal()
    guard isTaken else { return }
    guard waitUntil({ !isReadable(device.interrupt.rawValue) }) else {
      throw CommandedGuest.Stuck()
    }
  }

  private func device(_ name: Scenario.Device) throws -> ScenarioDevice {
    guard let device = devices[name] else { throw CommandedGuest.Stuck() }
    return device
  }
}
