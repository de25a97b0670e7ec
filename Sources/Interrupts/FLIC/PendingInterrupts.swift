/// What is pending, without ties to the outside: the controller's lock guards it.
struct PendingInterrupts {
  /// The service-call processor's event bits, and its command's address, in the parameter.
  private enum ServiceParameter {
    static var events: UInt32 { 0x0000_0003 }
    static var command: UInt32 { 0xFFFF_FFF8 }
  }

  /// The classes of which something is pending.
  private(set) var classes: FloatingInterruptClasses = []
  private var slab = InterruptSlab()
  // By the class's bit; the first two have no queue, since those that are pending are one.
  private var queues = InlineArray<12, InterruptSlab.Queue>(repeating: .init())
  private var serviceParameter: UInt32 = 0
  private var machineCheckSubclass: UInt64 = 0
  private var machineCheckCode: UInt64 = 0
  private(set) var ioCount = 0

  /// How many page faults are done and not yet reported.
  var pageFaultCount: Int { queues[FloatingInterruptClasses.pageFaultDone.index].count }
  /// How many virtio interrupts are pending.
  var virtioCount: Int { queues[FloatingInterruptClasses.virtio.index].count }

  /// How many interrupts are pending.
  var count: Int {
    ioCount + pageFaultCount + virtioCount + (classes.contains(.serviceSignal) ? 1 : 0)
      + (classes.contains(.machineCheck) ? 1 : 0)
  }

  /// Adds `interrupt`.
  mutating func add(_ interrupt: FloatingInterrupt) -> InterruptDelivery {
    let interruptClass = interrupt.interruptClass
    switch interrupt {
    case .serviceSignal(let parameter):
      serviceParameter |= parameter & ServiceParameter.events
      // The processor ends one command at a time: of a second address nothing is kept until the
      // first was taken, as in Linux.
      if serviceParameter & ServiceParameter.command == 0 {
        serviceParameter |= parameter & ServiceParameter.command
      }
    case .machineCheck(let subclass, let code):
      machineCheckSubclass |= subclass & ControlRegister14.channelReport
      machineCheckCode |= code
    case .io:
      slab.append(interrupt, to: &queues[interruptClass.index])
      ioCount += 1
      classes.insert(interruptClass)
      return .delivered
    case .pageFaultDone, .virtio:
      slab.append(interrupt, to: &queues[interruptClass.index])
      classes.insert(interruptClass)
      return .delivered
    }
    return classes.insert(interruptClass).inserted ? .delivered : .coalesced
  }

  /// The class of which a processor that is open as `window` says would take an interrupt.
  func firstClass(for window: InterruptWindow) -> FloatingInterruptClasses? {
    var open = classes.intersection(window.classes)
    // A repressible machine check has a mask of its own in control register 14 (Principles of
    // Operation, chapter 11, "Machine-Check-Subclass Masks").
    if machineCheckSubclass & window.cr14 == 0 { open.remove(.machineCheck) }
    return open.first
  }

  /// Takes the first interrupt of `interruptClass`, which is pending.
  mutating func take(_ interruptClass: FloatingInterruptClasses) -> FloatingInterrupt? {
    switch interruptClass {
    case .machineCheck:
      defer { (machineCheckSubclass, machineCheckCode) = (0, 0) }
      guard classes.remove(.machineCheck) != nil else { return nil }
      return .machineCheck(cr14: machineCheckSubclass, code: machineCheckCode)
    case .serviceSignal:
      defer { serviceParameter = 0 }
      guard classes.remove(.serviceSignal) != nil else { return nil }
      return .serviceSignal(parameter: serviceParameter)
    default:
      let interrupt = slab.removeFirst(of: &queues[interruptClass.index])
      if interrupt != nil { didRemove(from: interruptClass) }
      return interrupt
    }
  }

  private mutating func didRemove(from interruptClass: FloatingInterruptClasses) {
    if queues[interruptClass.index].count == 0 { classes.remove(interruptClass) }
    if FloatingInterruptClasses.io.contains(interruptClass) { ioCount -= 1 }
  }

  /// Takes the interrupt that would be taken next if nothing were masked.
  mutating func takeFirst() -> FloatingInterrupt? {
    guard let first = classes.first else { return nil }
    return take(first)
  }

  /// Deletes the first I/O interrupt of a subchannel, of the lowest subclass that has one.
  mutating func remove(subsystemID: UInt32) {
    for isc in 0..<8 {
      let interruptClass = FloatingInterruptClasses.io(isc: isc)
      guard classes.contains(interruptClass) else { continue }
      let removed = slab.removeFirst(of: &queues[interruptClass.index]) { interrupt in
        if case .io(let io) = interrupt { io.subsystemID == subsystemID } else { false }
      }
      guard removed == nil else { return didRemove(from: interruptClass) }
    }
  }

  /// Deletes all, and gives their memory back.
  mutating func removeAll() { self = Self() }

  /// All, in the order in which Linux lists them: I/O by subclass, completed page faults, virtio, the
  /// service signal, the machine check.
  func all() -> [FloatingInterrupt] {
    var result: [FloatingInterrupt] = []
    result.reserveCapacity(count)
    for isc in 0..<8 { forEach(of: .io(isc: isc)) { result.append($0) } }
    for other: FloatingInterruptClasses in [
      .pageFaultDone, .virtio, .serviceSignal, .machineCheck,
    ] {
      forEach(of: other) { result.append($0) }
    }
    return result
  }

  private func forEach(
    of interruptClass: FloatingInterruptClasses,
    _ body: (FloatingInterrupt) -> Void
  ) {
    guard classes.contains(interruptClass) else { return }
    switch interruptClass {
    case .machineCheck: body(.machineCheck(cr14: machineCheckSubclass, code: machineCheckCode))
    case .serviceSignal: body(.serviceSignal(parameter: serviceParameter))
    default: slab.forEach(in: queues[interruptClass.index], body)
    }
  }
}
