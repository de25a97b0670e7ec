// Measures interrupts from an eventfd to a guest's handler, and their ends from there to an eventfd, in whole machines with
// each `--irqchip`, and beside them in KVM alone. `Benchmarks/interrupts` builds and runs it.
//
//   interrupt-modes [SAMPLES]
import HostOS
import InterruptGuest

@testable import Machine

nonisolated func run() {
  let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 2000
  var rows: [[String]] = []
  var faults: [String] = []
  func add(_ name: String, _ rig: () throws -> (some GuestRig, stop: () -> Void)) {
    do {
      let (rig, stop) = try rig()
      defer { stop() }
      rows.append([name] + (try GuestTimes(rig, count: count)).cells)
    } catch {
      faults.append("\(name): \(error)")
    }
  }
  add("KVM's irqfd alone") {
    let rig = try BareRig()
    return (rig, rig.stop)
  }
  for mode in InterruptMode.allCases {
    add("`--irqchip \(mode.rawValue)`") {
      let rig = try MachineRig(mode)
      return (rig, rig.stop)
    }
  }
  print("A halted guest with one processor: \(count) samples, us.")
  print()
  printTable(GuestTimes.header, rows)
  for fault in faults { print("\n" + fault) }
}

run()
