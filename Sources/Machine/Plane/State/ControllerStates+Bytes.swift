import Interrupts
import Platform

// The parts of a saved state; see InterruptState+Bytes.swift.

extension IOAPICState {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&index)
    try coder.number(&id)
    try coder.number(&arbitrationID)
    var words = entries.map(\.rawValue)
    try coder.numbers(&words, count: IOAPIC.pinCount)
    entries = words.map { RedirectionEntry(rawValue: $0) }
    try coder.number(&pendingEdges)
    try coder.number(&levels)
  }
}

extension PICPairState {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try primary.code(&coder)
    try secondary.code(&coder)
    try coder.number(&levels)
  }
}

extension PICState {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.choice(&sequence, "8259 sequence")
    try coder.number(&firstWord)
    try coder.number(&vectorBase)
    try coder.number(&edges)
    try coder.number(&latchedEdges)
    try coder.number(&inService)
    try coder.number(&mask)
    try coder.number(&levelTriggered)
    try coder.number(&lowestPriority)
    try coder.flag(&endsAutomatically, "8259 automatic end")
    try coder.flag(&nestsSpecially, "8259 special nesting")
    try coder.flag(&rotatesAutomatically, "8259 rotation")
    try coder.flag(&masksSpecially, "8259 special mask")
    try coder.flag(&readsInService, "8259 register")
    try coder.flag(&polls, "8259 poll")
  }
}

extension IntervalTimerState {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    for index in 0..<3 { try counters[index].code(&coder) }
    try coder.number(&control)
    try coder.flag(&lineLevel, "timer line")
  }
}

extension IntervalTimerState.Counter {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&control)
    try coder.flag(&gate, "counter gate")
    try coder.flag(&isCounting, "counter run")
    try coder.number(&shown)
    try coder.number(&count)
    try coder.number(&elapsed)
    try coder.flag(&isHeld, "counter hold")
    try coder.flag(&startsLow, "counter start")
    try coder.flag(&outputBefore, "counter output")
    try coder.optional(&nextCount, "counter reload")
    try coder.number(&nextAge)
    try coder.flag(&awaitsCount, "counter wait")
    try coder.optional(&writtenLow, "counter byte")
    try coder.flag(&readsHigh, "counter half")
    try coder.optional(&latchedCount, "counter latch")
    try coder.optional(&latchedStatus, "counter status")
  }
}

extension InterruptState.Processor {
  mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.choice(&activity, "activity")
    try coder.optional(&injected, "injected vector")
    try coder.flag(&isNMIInjected, "injected NMI")
    try coder.flag(&isNMIPending, "pending NMI")
    try coder.flag(&isNMIMasked, "masked NMI")
    try coder.number(&timestampCounter)
    try localAPIC.code(&coder)
  }
}

extension LocalAPIC.State {
  fileprivate mutating func code(_ coder: inout StateCoder) throws(InterruptStateError) {
    try coder.number(&base)
    try coder.number(&taskPriority)
    try coder.number(&logicalDestination)
    try coder.number(&destinationFormat)
    try coder.number(&spurious)
    try coder.numbers(&requested, count: 8)
    try coder.numbers(&inService, count: 8)
    try coder.numbers(&triggerMode, count: 8)
    try coder.number(&errorStatus)
    try coder.number(&pendingErrors)
    try coder.number(&command)
    try coder.numbers(&vectors, count: 7)
    try coder.number(&initialCount)
    try coder.number(&divideConfiguration)
    try coder.optional(&timerRemaining, "timer")
    try coder.number(&timestampDeadline)
    try coder.flag(&isExternalPending, "external interrupt")
  }
}
