import DeviceModel
import Interrupts
import Platform

extension InterruptState {
  /// Lines for a user, as those of `--dump-interrupts`, without the counters of the chips' pins.
  public var report: String {
    var text = ["interrupts (\(mode.rawValue)), saved:"]
    text += lines.map { "  " + $0.report }
    text += messages.map { gsi, message in
      "  \(gsi): \(InterruptReport.text(message)), delivered by KVM, which does not count"
    }
    text += chips.ioAPIC.report + chips.pic.report + [timerReport]
    for (number, processor) in processors.enumerated() {
      text += ControllerReport.localAPIC(number, processor.localAPIC) + [processor.report]
    }
    return text.joined(separator: "\n") + "\n"
  }

  private var timerReport: String {
    let counters = chips.timer.counters.prefix(3).enumerated().map { index, counter in
      let mode = counter.control >> 1 & 7
      let state =
        counter.isCounting
        ? "\(counter.isHeld ? "held" : "counts") \(counter.count)" : "no count"
      return "counter \(index) mode \(mode) \(state)"
    }
    return "interval timer: \(chips.timer.lineLevel ? "high" : "low"), "
      + counters.joined(separator: ", ")
  }
}

extension InterruptState.Line {
  fileprivate var report: String {
    InterruptReport.row(
      gsi,
      isAsserted: isAsserted,
      sources: (sources, asserted, bound),
      to: routes.map { InterruptReport.text($0) },
      counters
    )
  }
}

extension InterruptState.Processor {
  fileprivate var report: String {
    var words: [String]
    switch activity {
    case .running: words = ["running"]
    case .halted: words = ["halted"]
    case .waitingForStartUp: words = ["waiting for its start-up interrupt"]
    }
    words.append("base \(hex(localAPIC.base))")
    if let injected { words.append("vector \(hex(UInt64(injected))) about to be handled") }
    if isNMIPending || isNMIInjected { words.append("NMI pending") }
    if isNMIMasked { words.append("NMI in service") }
    if let remaining = localAPIC.timerRemaining { words.append("timer due in \(remaining) ns") }
    if localAPIC.timestampDeadline != 0 {
      words.append(
        "TSC deadline \(hex(localAPIC.timestampDeadline)), TSC \(hex(timestampCounter))"
      )
    }
    return "  " + words.joined(separator: ", ")
  }
}

extension IOAPICState {
  /// Its pins, for a user to see.
  fileprivate var report: [String] {
    ["I/O APIC:"]
      + entries.enumerated().map { pin, entry in
        "  "
          + ControllerReport.ioAPICPin(
            pin,
            entry,
            isPending: pendingEdges >> UInt32(pin) & 1 != 0,
            isAsserted: levels >> UInt32(pin) & 1 != 0
          )
      }
  }
}

extension PICPairState {
  /// Their pins, for a user to see.
  fileprivate var report: [String] {
    ["8259s:"]
      + (0..<16).map { pin in
        let chip = pin < 8 ? primary : secondary
        let bit: UInt8 = 1 << UInt8(pin & 7)
        let level = levels >> UInt16(pin) & 1 != 0 && chip.levelTriggered & bit != 0
        return "  "
          + ControllerReport.picPin(
            pin,
            vector: chip.vectorBase | UInt8(pin & 7),
            isRequested: level || chip.edges & bit != 0,
            isInService: chip.inService & bit != 0,
            isMasked: chip.mask & bit != 0,
            isLevelTriggered: chip.levelTriggered & bit != 0
          )
      }
  }
}
