import DeviceModel
import Interrupts
import Platform
import TestSupport

@testable import Machine

/// States that a seed chooses: any bits where the layouts take any, so also such that no guest brings about.
struct RandomState {
  private var generator: Interleaving.Generator

  init(seed: UInt64) { generator = Interleaving.Generator(seed) }

  mutating func number<Value: FixedWidthInteger>(_ range: ClosedRange<Value> = .min ... .max)
    -> Value
  {
    Value.random(in: range, using: &generator)
  }

  mutating func flag() -> Bool { Bool.random(using: &generator) }

  mutating func state() -> InterruptState {
    var state = InterruptState(mode: InterruptMode.allCases[number(0...2)])
    for gsi in Set((0..<number(0...30)).map { _ in number(0...UInt32(4095)) }).sorted() {
      var line = InterruptState.Line(gsi: GSI(gsi))
      line.isAsserted = flag()
      line.sources = number(0...9)
      line.asserted = number(0...line.sources)
      line.bound = number(0...line.sources)
      switch number(0...3) {
      case 0: line.routes = [.pin(.ioAPIC(number(0...23))), .pin(.pic(number(0...15)))]
      case 1: line.routes = [.message(message())]
      case 2: line.routes = [.pin(.pic(number(0...15)))]
      default: break
      }
      line.counters.raised = number()
      line.counters.spurious = number()
      state.lines.append(line)
    }
    for _ in 0..<number(0...5) { state.messages.append((GSI(number()), message())) }
    state.chips = chips()
    state.processors = (0..<number(1...4)).map { _ in processor() }
    return state
  }

  private mutating func message() -> InterruptMessage {
    InterruptMessage(address: number(), data: number())
  }

  mutating func chips() -> InterruptState.Chips {
    var chips = InterruptState.Chips()
    chips.ioAPIC = ioAPIC()
    chips.pic.primary = pic()
    chips.pic.secondary = pic()
    chips.pic.levels = number()
    chips.timer = timer()
    return chips
  }

  mutating func ioAPIC() -> IOAPICState {
    IOAPICState(
      index: number(),
      id: number(),
      arbitrationID: number(),
      entries: (0..<24).map { _ in RedirectionEntry(rawValue: number()) },
      pendingEdges: number(),
      levels: number()
    )
  }

  mutating func pic() -> PICState {
    var pic = PICState()
    pic.sequence = PICState.Sequence(rawValue: number(0...4)) ?? .done
    pic.firstWord = number()
    pic.vectorBase = number()
    pic.edges = number()
    pic.latchedEdges = number()
    pic.inService = number()
    pic.mask = number()
    pic.levelTriggered = number()
    pic.lowestPriority = number()
    pic.endsAutomatically = flag()
    pic.nestsSpecially = flag()
    pic.rotatesAutomatically = flag()
    pic.masksSpecially = flag()
    pic.readsInService = flag()
    pic.polls = flag()
    return pic
  }

  mutating func timer() -> IntervalTimerState {
    var timer = IntervalTimerState()
    for index in 0..<3 {
      timer.counters[index].control = number()
      timer.counters[index].gate = flag()
      timer.counters[index].isCounting = flag()
      timer.counters[index].shown = number()
      timer.counters[index].count = number()
      timer.counters[index].elapsed = number()
      timer.counters[index].isHeld = flag()
      timer.counters[index].startsLow = flag()
      timer.counters[index].outputBefore = flag()
      timer.counters[index].nextCount = flag() ? number() : nil
      timer.counters[index].nextAge = number()
      timer.counters[index].awaitsCount = flag()
      timer.counters[index].writtenLow = flag() ? number() : nil
      timer.counters[index].readsHigh = flag()
      timer.counters[index].latchedCount = flag() ? number() : nil
      timer.counters[index].latchedStatus = flag() ? number() : nil
    }
    timer.control = number()
    timer.lineLevel = flag()
    return timer
  }

  mutating func processor() -> InterruptState.Processor {
    var processor = InterruptState.Processor()
    processor.localAPIC = localAPIC()
    processor.activity = InterruptState.Processor.Activity.allCases[number(0...2)]
    processor.injected = flag() ? number() : nil
    processor.isNMIInjected = flag()
    processor.isNMIPending = flag()
    processor.isNMIMasked = flag()
    processor.timestampCounter = number()
    return processor
  }

  mutating func localAPIC() -> LocalAPIC.State {
    var apic = LocalAPIC.State()
    apic.base = number()
    apic.taskPriority = number()
    apic.logicalDestination = number()
    apic.destinationFormat = number()
    apic.spurious = number()
    apic.requested = (0..<8).map { _ in number() }
    apic.inService = (0..<8).map { _ in number() }
    apic.triggerMode = (0..<8).map { _ in number() }
    apic.errorStatus = number()
    apic.pendingErrors = number()
    apic.command = number()
    apic.vectors = (0..<7).map { _ in number() }
    apic.initialCount = number()
    apic.divideConfiguration = number()
    apic.timerRemaining = flag() ? number() : nil
    apic.timestampDeadline = number()
    apic.isExternalPending = flag()
    return apic
  }
}
