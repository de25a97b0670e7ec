// Measures interrupts from a device to a processor, and their ends from there to the device: in the models alone, and in
// KVM alone. `Benchmarks/interrupts` builds and runs it, and with it whole machines.
//
//   interrupt-benchmark [SAMPLES]
import InterruptGuest

nonisolated func run() {
  let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 2000
  measureModels(count * 100)
  print()
  do {
    try measureKernelCalls(count * 10)
    print()
    let rig = try BareRig()
    defer { rig.stop() }
    print("KVM's irqfd with resample, a halted guest with one processor: \(count) samples, us.")
    print()
    printTable(
      GuestTimes.header,
      [["KVM's irqfd alone"] + (try GuestTimes(rig, count: count)).cells]
    )
  } catch {
    print("KVM: \(error)")
  }
}

run()
