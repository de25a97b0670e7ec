import FuzzSupport
import Interrupts

/// A controller with small limits, a processor that takes from it, and some that are woken.
struct Subject {
  let slot = FLICSlot()
  var flic: FloatingInterruptController
  var configuration = FLICConfiguration()
  var processor = S390Processor()
  let targets = (0..<3).map { _ in Target() }

  init(_ script: inout Script) {
    let choices = script.byte()
    configuration.byteOrder = choices & 1 == 0 ? .big : .little
    configuration.hasSuppression = choices & 2 == 0
    configuration.ioLimit = 20
    configuration.virtioLimit = 7
    configuration.pageFaultLimit = 5
    flic = Self.make(slot, configuration)
    for target in targets where choices & 4 == 0 { flic.attach(target) }
  }

  private static func make(
    _ slot: FLICSlot,
    _ configuration: FLICConfiguration
  ) -> FloatingInterruptController {
    guard let flic = try? slot.create(configuration) else {
      fail("the slot is taken")
    }
    return flic
  }

  // MARK: Steps

  mutating func step(_ script: inout Script) {
    let code = script.byte()
    switch code & 0x0F {
    case 0...3: set(&script)
    case 4: get(&script)
    case 5:
      call { (flic) throws(FLICError) in
        let bytes = record(&script)
        try flic.setAttribute(firstGeneration: UInt32(code >> 4 & 3), data: bytes.span)
      }
    case 6: dequeue(&script)
    case 7: has(&script)
    case 8: deliver(&script)
    case 9: clear(&script)
    case 10: adapt(&script)
    case 11:
      call { (flic) throws(FLICError) in
        let id = UInt32(script.byte() % 70)
        _ = try code & 0x10 == 0 ? flic.inject(adapter: id) : flic.signal(adapter: id)
      }
    case 12: saveAndRestore()
    case 13: replace(&script)
    case 14: change(targets[Int(code >> 4) % targets.count], &script)
    default:
      call { (flic) throws(FLICError) in
        try flic.enqueue(
          .io(IOInterrupt(subchannel: script.word16(), isc: script.byte() & 7, parameter: 1))
        )
      }
    }
    check()
  }

  /// Makes a call; if it throws, nothing has changed.
  private func call(_ body: (FloatingInterruptController) throws(FLICError) -> Void) {
    let before = Snapshot(flic)
    do { try body(flic) } catch {
      require(Snapshot(flic) == before, "\(error), and something has changed")
    }
  }

  /// What holds at any time.
  private func check() {
    let pending = flic.pending
    require(flic.pendingCount == pending.count, "\(flic.pendingCount) of \(pending.count)")
    let classes = pending.reduce(into: FloatingInterruptClasses()) { $0.insert($1.interruptClass) }
    require(flic.pendingClasses == classes, "classes \(flic.pendingClasses)")
    var (io, virtio, faults, others) = (0, 0, 0, 0)
    for interrupt in pending {
      switch interrupt {
      case .io: io += 1
      case .virtio: virtio += 1
      case .pageFaultDone: faults += 1
      case .machineCheck, .serviceSignal: others += 1
      }
    }
    require(io <= configuration.ioLimit && virtio <= configuration.virtioLimit, "no room")
    require(faults <= configuration.pageFaultLimit && others <= 2, "no room")
  }

  private func set(_ script: inout Script) {
    let choice = script.byte()
    let group = choice < 0xF0 ? UInt32(choice % 13) : script.word32()
    var bytes: [UInt8] = []
    switch FLICGroup(rawValue: group) {
    case .enqueue: for _ in 0..<script.byte() % 5 { bytes += record(&script) }
    default: bytes = (0..<script.byte() % 24).map { _ in script.byte() }
    }
    let shape = script.byte()
    // Memory may go on after what the call takes, or end before.
    let attr = shape & 3 == 0 ? script.word64() : UInt64(bytes.count)
    if shape & 0xC == 4 { bytes += bytes } else if shape & 0xC == 8 { bytes = bytes.dropLast(1) }
    let flags = shape & 0x30 == 0x30 ? script.word32() : 0
    call { (flic) throws(FLICError) in
      try flic.setAttribute(group: group, attr: attr, flags: flags, data: bytes.span)
    }
  }

  /// 72 bytes, of which the type is likely one that there is.
  private func record(_ script: inout Script) -> [UInt8] {
    let types: [UInt64] = [
      0xFFFF_2401, 0xFFFF_2603, 0xFFFE_0005, 0xFFFE_1000, 0x0400_0000, 0x0001_0000, 0xFFFD_FFFF,
    ]
    let choice = script.byte()
    let type = choice & 0x80 == 0 ? types[Int(choice) % types.count] : script.word64()
    var bytes = [UInt8](repeating: 0, count: FLICLayout.Record.size)
    for index in 0..<8 {
      let place = configuration.byteOrder == .big ? 7 - index : index
      bytes[place] = UInt8(truncatingIfNeeded: type >> UInt64(8 * index))
    }
    for index in 8..<24 { bytes[index] = script.byte() }
    return bytes.dropLast(choice & 0x78 == 0x78 ? Int(script.byte() % 73) : 0)
  }

  private func get(_ script: inout Script) {
    let choice = script.byte()
    let group = choice < 0xF0 ? UInt32(choice % 13) : script.word32()
    var bytes = [UInt8](repeating: 0xA5, count: Int(script.byte()) * 12)
    let attr = choice & 0x20 == 0 ? UInt64(bytes.count) : script.word64()
    let before = Snapshot(flic)
    var span = bytes.mutableSpan
    let count = try? flic.getAttribute(group: group, attr: attr, data: &span)
    require(Snapshot(flic) == before, "a look changes something")
    guard FLICGroup(rawValue: group) == .getAllIRQs, let count else { return }
    require(count == before.pending.count, "\(count) of \(before.pending.count) records")
    let rest = bytes[(count * FLICLayout.Record.size)...]
    require(rest.allSatisfy { $0 == 0xA5 }, "more was written than \(count) records")
  }

  private func dequeue(_ script: inout Script) {
    var bytes = [UInt8](repeating: 0, count: Int(script.byte() % 80))
    let before = Snapshot(flic)
    var span = bytes.mutableSpan
    do throws(FLICError) {
      try flic.getAttribute(firstGeneration: UInt32(script.byte() & 3), data: &span)
      require(flic.pendingCount == before.pending.count - 1, "not one was taken")
    } catch {
      require(Snapshot(flic) == before, "\(error), and something has changed")
    }
  }

  private func has(_ script: inout Script) {
    let group = UInt32(script.byte())
    let isThere = (try? flic.hasAttribute(group: group)) != nil
    require(isThere == (1...11).contains(group), "group \(group)")
    require((try? flic.hasAttribute(firstGeneration: group)) == nil, "group \(group)")
  }

  private mutating func deliver(_ script: inout Script) {
    let choice = script.byte()
    processor.psw = ProgramStatusWord(mask: script.word64(), address: 0)
    processor.control[0] = script.word64()
    processor.control[6] = UInt64(script.byte()) << 24
    processor.control[14] = choice & 1 == 0 ? 0 : .max
    processor.isStopped = choice & 6 == 6
    for offset in [
      Lowcore.Location.ioNewPSW, Lowcore.Location.externalNewPSW,
      Lowcore.Location.machineCheckNewPSW,
    ] {
      processor.lowcore.store(choice & 8 == 0 ? processor.psw : ProgramStatusWord(), at: offset)
    }
    let count = flic.pendingCount
    let isOpen = flic.hasInterrupt(for: processor.window) && !processor.isStopped
    let taken = flic.deliverPending(to: &processor)
    require(isOpen == (taken > 0), "\(taken) were taken")
    require(flic.pendingCount == count - taken, "\(count) less \(taken)")
  }

  private func clear(_ script: inout Script) {
    let before = flic.pending
    let choice = script.byte()
    switch choice & 3 {
    case 0: require((flic.dequeue() != nil) == !before.isEmpty, "nothing is taken")
    case 1: flic.clear()
    default:
      let subsystem = UInt32(choice & 4) << 14 | UInt32(script.byte())
      flic.clear(subsystemID: subsystem)
      require(before.count - flic.pendingCount <= 1, "more than one is gone")
    }
  }

  private func adapt(_ script: inout Script) {
    let choice = script.byte()
    let id = UInt32(script.byte() % 66)
    call { (flic) throws(FLICError) in
      switch choice & 3 {
      case 0:
        let adapter = IOAdapter(
          id: id,
          isc: script.byte(),
          isMaskable: choice & 4 != 0,
          isSuppressible: true
        )
        try flic.register(adapter)
      case 1: try flic.mask(adapter: id, choice & 4 != 0)
      case 2: try flic.map(adapter: id, UInt64(script.byte()))
      default: try flic.unmap(adapter: id, UInt64(script.byte()))
      }
    }
  }

  /// What is pending goes out, and into another controller, in the same order.
  private func saveAndRestore() {
    let pending = flic.pending
    var bytes = [UInt8](repeating: 0, count: (pending.count + 1) * FLICLayout.Record.size)
    var span = bytes.mutableSpan
    let count = try? flic.getAttribute(group: 1, attr: UInt64(span.count), data: &span)
    require(count == pending.count, "\(pending.count) were not saved")
    let other = Self.make(FLICSlot(), configuration)
    let length = UInt64(pending.count * FLICLayout.Record.size)
    do { try other.setAttribute(group: 2, attr: length, data: bytes.span) } catch {
      fail("what was saved is refused: \(error)")
    }
    require(other.pending == pending, "other interrupts are restored")
  }

  private mutating func replace(_ script: inout Script) {
    require((try? slot.create(configuration)) == nil, "two controllers")
    guard script.byte() & 7 == 0 else { return }
    slot.destroy()
    require(flic.pendingCount == 0, "what was destroyed has interrupts")
    call { (flic) throws(FLICError) in
      try flic.enqueue(.serviceSignal(parameter: 8))
      fail("what was destroyed takes interrupts")
    }
    flic = Self.make(slot, configuration)
    for target in targets { flic.attach(target) }
  }

  private func change(_ target: Target, _ script: inout Script) {
    let choice = script.byte()
    target.activity = [.idle, .running, .stopped][Int(choice & 0x3F) % 3]
    target.open = FloatingInterruptClasses(rawValue: script.word16())
    if choice & 0x40 != 0 { flic.detach(target) }
    if choice & 0x80 != 0 { flic.attach(target) }
  }

  /// Takes all that is left, the most urgent first.
  mutating func drain() {
    var last: FloatingInterruptClasses = []
    for _ in 0..<flic.pendingCount {
      guard let interrupt = flic.dequeue() else { fail("fewer than were counted") }
      require(interrupt.interruptClass.rawValue >= last.rawValue, "out of order")
      last = interrupt.interruptClass
    }
    require(flic.pendingCount == 0 && flic.pendingClasses.isEmpty, "more than were counted")
  }
}
