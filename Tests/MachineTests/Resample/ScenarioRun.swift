import HostOS

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

  /// Does as the actions say, and tells what came of each.
  ///
  /// An end or a leave is left out where the guest has nothing to end or to leave.
  func run(_ actions: [Scenario.Action]) throws -> [Scenario.Outcome] {
    try actions.compactMap { action in
      if action == .end, !mustEnd { return nil }
      if action == .leave, handlers == 0 || mustEnd { return nil }
      return try outcome(of: action)
    }
  }

  private func outcome(of action: Scenario.Action) throws -> Scenario.Outcome {
    try perform(action)
    try guest.settle()
    var outcome = Scenario.Outcome(action: action, interrupts: guest.takeInterrupts())
    for (name, device) in devices.sorted(by: { $0.key.rawValue < $1.key.rawValue })
    where device.end.drain() > 0 {
      // KVM tells all devices of the GSI, asserted or not; the contract has it tell those that are.
      guard !isKernel || asserted.contains(name) else { continue }
      outcome.told.append(name)
      asserted.remove(name)
    }
    handlers += outcome.interrupts.count
    if !outcome.interrupts.isEmpty { mustEnd = true }
    return outcome
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
      try device(name).interrupt.signal()
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

  private func device(_ name: Scenario.Device) throws -> ScenarioDevice {
    guard let device = devices[name] else { throw CommandedGuest.Stuck() }
    return device
  }
}
