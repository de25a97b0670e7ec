import FuzzSupport
import Interrupts

/// States as they may come from a file that somebody else has written.
extension Plane {
  func putBack(_ apic: LocalAPIC, _ script: inout Script) {
    hasForeignState = true
    switch script.byte() & 3 {
    case 0: ioAPIC.state = ioAPICState(&script)
    case 1:
      var state = PICPairState()
      state.primary = picState(&script)
      state.secondary = picState(&script)
      state.levels = script.word16()
      pic.state = state
    case 2:
      let state = localAPICState(&script)
      apic.state = state
      require(apic.state.events == state.events, "other events")
    default:
      // What was saved is what is put back, but for the levels in front of it.
      let saved = (ioAPIC.state, pic.state, apic.state)
      apic.state = saved.2
      require(apic.state == saved.2, "\(apic.state) after \(saved.2)")
      pic.state = saved.1
      require(pic.state == saved.1, "\(pic.state) after \(saved.1)")
      ioAPIC.state = saved.0
    }
  }

  private func ioAPICState(_ script: inout Script) -> IOAPICState {
    IOAPICState(
      index: script.byte(),
      id: script.byte(),
      arbitrationID: script.byte(),
      entries: (0..<Int(script.byte() % 32)).map { _ in
        RedirectionEntry(rawValue: UInt64(script.word32()) ^ 0xC000)
      },
      pendingEdges: script.word32(),
      levels: script.word32()
    )
  }

  private func picState(_ script: inout Script) -> PICState {
    var state = PICState()
    state.sequence = PICState.Sequence(rawValue: script.byte() % 5) ?? .done
    state.firstWord = script.byte()
    state.vectorBase = script.byte()
    state.edges = script.byte()
    state.inService = script.byte()
    state.mask = script.byte()
    state.levelTriggered = script.byte()
    state.lowestPriority = script.byte()
    let flags = script.byte()
    state.endsAutomatically = flags & 1 != 0
    state.nestsSpecially = flags & 2 != 0
    state.rotatesAutomatically = flags & 4 != 0
    state.masksSpecially = flags & 8 != 0
    state.readsInService = flags & 16 != 0
    state.polls = flags & 32 != 0
    return state
  }

  private func localAPICState(_ script: inout Script) -> LocalAPIC.State {
    var state = LocalAPIC.State()
    let choice = script.byte()
    state.base = choice & 1 == 0 ? 0xFEE0_0800 | UInt64(choice & 2) << 9 : script.word64()
    state.taskPriority = script.byte()
    state.logicalDestination = script.word32()
    state.destinationFormat = script.word32()
    state.spurious = script.word32() ^ 0x100
    state.requested = words(&script)
    state.inService = words(&script)
    state.triggerMode = words(&script)
    state.errorStatus = script.byte()
    state.pendingErrors = script.byte()
    state.command = script.word64()
    state.vectors = (0..<script.byte() % 9).map { _ in script.word32() }
    state.initialCount = script.word32()
    state.divideConfiguration = script.word32()
    state.timerRemaining = script.byte() & 1 == 0 ? nil : script.word64()
    state.timestampDeadline = script.word64()
    let events = script.byte()
    state.events.nmi = events & 1 != 0
    state.events.smi = events & 2 != 0
    state.events.initReceived = events & 4 != 0
    state.events.startUpVector = events & 8 != 0 ? script.byte() : nil
    state.isExternalPending = events & 16 != 0
    return state
  }

  /// Up to ten registers with a bit each.
  private func words(_ script: inout Script) -> [UInt32] {
    (0..<script.byte() % 11).map { _ in 1 << UInt32(script.byte() & 31) }
  }
}
