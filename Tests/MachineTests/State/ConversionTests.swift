import Interrupts
import KVM
import Platform
import TestSupport
import Testing

@testable import Machine

/// States through KVM's layouts and back, with nothing lost but what is said to be.
@Suite struct ConversionTests {
  private static func empty(_ chip: IRQChip) -> IRQChipState {
    IRQChipState(chip, bytes: Array(repeating: 0, count: IRQChipState.size))
  }

  @Test(arguments: 0..<100 as Range<UInt64>)
  func anIOAPICComesBack(seed: UInt64) {
    var random = RandomState(seed: seed)
    let state = random.ioAPIC()
    let kernel = state.applied(to: Self.empty(.ioapic), levels: state.levels)
    let back = IOAPICState(kernel, levels: state.levels & 0xFF_FFFF)

    #expect(back.index == state.index)
    #expect(back.id == state.id & 0x0F)
    #expect(back.levels == state.levels & 0xFF_FFFF)
    for pin in 0..<24 {
      let (old, new) = (state.entries[pin], back.entries[pin])
      #expect(new.rawValue & ~(1 << 14) == old.rawValue & 0xFF00_0000_0001_AFFF, "pin \(pin)")
      #expect(new.remoteIRR == (old.remoteIRR && old.isLevelTriggered), "pin \(pin)")
      let isPending = state.pendingEdges >> UInt32(pin) & 1 != 0
      let isKept = isPending && !old.hasLevelTrigger && !old.isMasked
      #expect((back.pendingEdges >> UInt32(pin) & 1 != 0) == isKept, "pin \(pin)")
    }
  }

  /// The offsets of arch/x86/include/uapi/asm/kvm.h.
  @Test func anIOAPICIsLaidOutAsTheKernelHasIt() {
    var state = InterruptState.Chips().ioAPIC
    state.index = 0x12
    state.id = 5
    state.entries[3] = RedirectionEntry(rawValue: 0x0100_0000_0000_C041)
    let kernel = state.applied(to: Self.empty(.ioapic), levels: 1 << 3 | 1 << 4)
    #expect(kernel.bytes[8] == 0x12)
    #expect(kernel.bytes[12] == 5)
    // The level of pin 3 only: pin 4 is an edge's.
    #expect(kernel.bytes[16..<20].elementsEqual([1 << 3, 0, 0, 0]))
    #expect(kernel.bytes[48..<56].elementsEqual([0x41, 0xC0, 0, 0, 0, 0, 0, 1]))
  }

  @Test(arguments: 0..<100 as Range<UInt64>)
  func the8259sComeBack(seed: UInt64) {
    var random = RandomState(seed: seed)
    let old = random.chips().pic
    // What a chip can have: see PICChip.
    var state = PICPairState()
    state.levels = old.levels & ~(1 << 2)
    for (path, isFirst) in [(\PICPairState.primary, true), (\PICPairState.secondary, false)] {
      var chip = old[keyPath: path]
      let levels = UInt8(truncatingIfNeeded: isFirst ? state.levels : state.levels >> 8)
      chip.vectorBase &= 0xF8
      chip.lowestPriority &= 7
      if isFirst { chip.edges &= ~(1 << 2) }
      chip.edges &= ~chip.levelTriggered
      chip.latchedEdges = chip.edges & ~levels
      if chip.sequence == .never { chip.sequence = .done }
      chip.firstWord = 0x11
      state[keyPath: path] = chip
    }
    let kernel = state.applied(
      to: (Self.empty(.picMaster), Self.empty(.picSlave)),
      levels: state.levels
    )
    let back = PICPairState(
      primary: kernel.primary,
      secondary: kernel.secondary,
      levels: state.levels
    )
    #expect(back == state)
  }

  @Test func chipsThatWereNeverInitialisedAreSoAgain() {
    let state = PICPairState()
    let kernel = state.applied(to: (Self.empty(.picMaster), Self.empty(.picSlave)), levels: 0)
    #expect(PICPairState(primary: kernel.primary, secondary: kernel.secondary, levels: 0) == state)
  }

  @Test(arguments: 0..<100 as Range<UInt64>)
  func aLocalAPICComesBack(seed: UInt64) {
    var random = RandomState(seed: seed)
    var state = random.localAPIC()
    state.divideConfiguration &= 0xB
    state.pendingErrors = 0
    state.isExternalPending = false
    let counts = state.vectors[0] >> 17 & 3 < 2
    let shift = (UInt64(state.divideConfiguration & 3 | state.divideConfiguration >> 1 & 4) + 1) & 7
    // A whole count.
    state.timerRemaining = counts ? UInt64(random.number(1...UInt32.max)) << shift : nil
    state.initialCount = max(1, state.initialCount)
    let kernel = state.applied(
      to: LocalAPICState(bytes: Array(repeating: 0, count: LocalAPICState.size)),
      id: 3
    )
    let back = LocalAPIC.State(
      kernel,
      base: state.base,
      timestampDeadline: state.timestampDeadline
    )
    #expect(back == state)
    #expect(kernel[0x20] == 3 << 24)
  }

  /// KVM starts a one-shot with a count of 0 at once: one that has come must not come again.
  @Test func aOneShotThatHasComeStands() {
    var state = LocalAPIC.State()
    state.vectors[0] = 0x51
    state.initialCount = 1000
    let empty = LocalAPICState(bytes: Array(repeating: 0, count: LocalAPICState.size))
    #expect(state.applied(to: empty, id: 0)[0x380] == 0)
    // Of KVM's it is not known, unless its vector is still there.
    var kernel = empty
    kernel[0x320] = 0x51
    kernel[0x380] = 1000
    #expect(LocalAPIC.State(kernel, base: 0, timestampDeadline: 0).timerRemaining == 0)
    kernel[0x220] = 1 << 17
    #expect(LocalAPIC.State(kernel, base: 0, timestampDeadline: 0).timerRemaining == nil)
  }

  @Test(arguments: 0..<100 as Range<UInt64>)
  func aTimerChipComesBackButForWhereItsCountsStand(seed: UInt64) {
    var random = RandomState(seed: seed)
    var state = random.timer()
    for index in 0..<3 {
      var counter = IntervalTimerState.Counter()
      let bytes: UInt8 = random.number(1...3)
      counter.control = bytes << 4 | random.number(0...5) << 1 | random.number(0...1)
      counter.gate = index == 2 ? state.control & 1 != 0 : true
      counter.isCounting = true
      counter.awaitsCount = false
      counter.count = random.number(1...65_536)
      counter.isHeld = index == 2 && !counter.gate
      counter.readsHigh = bytes == 3 && random.flag()
      counter.writtenLow = bytes == 3 && random.flag() ? random.number() : nil
      counter.latchedCount = random.flag() ? random.number() : nil
      counter.latchedStatus = random.flag() ? random.number() : nil
      state.counters[index] = counter
    }
    state.control &= 3
    state.lineLevel = state.counters[0].control >> 1 & 7 != 0
    let kernel = state.applied(
      to: PITState(bytes: Array(repeating: 0, count: PITState.size)),
      now: 1_000_000_000
    )
    #expect(IntervalTimerState(kernel, now: 1_000_000_000) == state)
  }

  @Test func aCountThatHasEndedGoesWhereItDoesNotEndAgain() {
    var state = IntervalTimerState()
    state.counters[0].isCounting = true
    state.counters[0].awaitsCount = false
    state.counters[0].count = 100
    let empty = PITState(bytes: Array(repeating: 0, count: PITState.size))
    state.counters[0].elapsed = 99
    #expect(state.applied(to: empty, now: 0).bytes[13] == 0)
    state.counters[0].elapsed = 100
    #expect(state.applied(to: empty, now: 0).bytes[13] == 5)
    // A channel that nobody has programmed does not count.
    #expect(IntervalTimerState().applied(to: empty, now: 0).bytes[13] == 0xFF)
  }

  /// Where nothing is lost: the machine's own KVM takes what is given and says it again.
  @Test(KVMDevice.required) func theKernelKeepsWhatItIsGiven() throws {
    let vm = try KVMSystem().makeVM()
    try vm.createIRQChip()
    try vm.createPIT2(speakerDummy: true)
    let plane = try KernelPlane(vm)
    let vcpu = try vm.makeVCPU(0)
    // The timer has deadlines where CPUID says so.
    var cpuid = CPUIDBuilder(
      supported: try KVMSystem().supportedCPUID(),
      topology: CPUTopology(count: 1)
    )
    cpuid.hasTSCDeadlineTimer = true
    try vcpu.setCPUID(cpuid.entries(forCPU: 0))
    var chips = try plane.chips
    chips.ioAPIC.index = 0x15
    chips.ioAPIC.id = 3
    chips.ioAPIC.arbitrationID = 3
    // Level, in service; edge, masked.
    chips.ioAPIC.entries[17] = RedirectionEntry(rawValue: 0x0000_0000_0000_C042)
    chips.ioAPIC.entries[18] = RedirectionEntry(rawValue: 0x0100_0000_0001_0043)
    chips.pic.primary.sequence = .done
    chips.pic.primary.firstWord = 0x11
    chips.pic.primary.vectorBase = 0x30
    chips.pic.primary.mask = 0xB8
    chips.pic.primary.inService = 0x10
    chips.pic.primary.edges = 0x02
    chips.pic.primary.latchedEdges = 0x02
    chips.pic.secondary.sequence = .done
    chips.pic.secondary.firstWord = 0x11
    chips.pic.secondary.vectorBase = 0x38
    chips.pic.secondary.mask = 0xFF
    chips.timer.counters[0].control = 0x34
    chips.timer.counters[0].isCounting = true
    chips.timer.counters[0].awaitsCount = false
    chips.timer.counters[0].count = 11_932

    try plane.restore(chips)

    var back = try plane.chips
    // A timer that counts holds its line up, of which KVM knows nothing.
    #expect(back.timer.lineLevel)
    back.timer.lineLevel = chips.timer.lineLevel
    back.ioAPIC.levels = chips.ioAPIC.levels
    back.pic.levels = chips.pic.levels
    back.timer.counters[2] = chips.timer.counters[2]
    back.timer.counters[1] = chips.timer.counters[1]
    #expect(back == chips)

    var processor = try vcpu.interruptState()
    processor.localAPIC.spurious = 0x1FF
    processor.localAPIC.taskPriority = 0x40
    processor.localAPIC.requested[2] = 1 << 1
    processor.localAPIC.inService[2] = 1 << 5
    processor.localAPIC.triggerMode[2] = 1 << 5
    processor.localAPIC.vectors[0] = 2 << 17 | 0x51
    processor.localAPIC.timestampDeadline = .max - 5
    processor.isNMIMasked = true
    try vcpu.restore(processor)
    var again = try vcpu.interruptState()
    again.timestampCounter = processor.timestampCounter
    #expect(again == processor)
  }
}
