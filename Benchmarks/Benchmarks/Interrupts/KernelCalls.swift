import HostOS
import InterruptGuest
import KVM

/// Prints what it takes to make an interrupt pending in KVM's chips by a call, with a processor that does not run.
func measureKernelCalls(_ count: Int) throws {
  let system = try KVMSystem()
  let guest = try Guest(system) { try $0.createIRQChip() }
  let vcpu = try guest.vm.makeVCPU(0)
  // Switched on by software; pin 20 is level-triggered, to processor 0.
  var apic = try vcpu.localAPIC()
  apic[0xF0] = 0x1FF
  try vcpu.setLocalAPIC(apic)
  var ioAPIC = try guest.vm.irqChipState(.ioapic)
  ioAPIC[redirectionEntry: 20] = 0x8041
  try guest.vm.setIRQChipState(ioAPIC)

  let overhead = clockOverhead()
  var (empty, line, message, event) = (
    Samples(count: count), Samples(count: count), Samples(count: count), Samples(count: count)
  )
  let eventFD = try EventFD()
  for _ in 0..<count {
    var start = now()
    _ = try system.check(.irqRouting)
    empty.add(start, now())
    start = now()
    try guest.vm.irqLine(20, level: true)
    line.add(start, now())
    try guest.vm.irqLine(20, level: false)
    start = now()
    try guest.vm.signalMSI(address: 0xFEE0_0000, data: 0x42)
    message.add(start, now())
    start = now()
    eventFD.signal()
    event.add(start, now())
    eventFD.drain()
  }
  print("KVM's calls: \(count) samples, ns. No processor runs, so nothing is taken or ended.")
  print()
  printTable(
    ["", "ns", "p99"],
    [
      ["KVM_CHECK_EXTENSION, which does nothing"] + empty.cells(less: overhead),
      ["KVM_IRQ_LINE, a level to the I/O APIC"] + line.cells(less: overhead),
      ["KVM_SIGNAL_MSI"] + message.cells(less: overhead),
      ["a write to an eventfd that nobody waits for"] + event.cells(less: overhead),
    ]
  )
}
