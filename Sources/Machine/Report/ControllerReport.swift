import DeviceModel
import Interrupts
import KVM

/// The controllers' state as lines of text, the same for ours and for KVM's.
enum ControllerReport {
  /// One pin of an I/O APIC: its level if it is known, and its counters if anybody counted.
  static func ioAPICPin(
    _ pin: Int,
    _ entry: RedirectionEntry,
    isPending: Bool,
    isAsserted: Bool?,
    counters: IOAPICPin.Counters? = nil
  ) -> String {
    var words = ["pin \(pin):"]
    if let isAsserted { words.append(isAsserted ? "high" : "low") }
    words.append("vector \(hex(UInt64(entry.vector)))")
    words.append(entry.deliveryMode.map { "\($0)" } ?? "reserved mode")
    words.append("to \(entry.isLogical ? "logical" : "physical") \(entry.destination)")
    words.append(entry.hasLevelTrigger ? "level" : "edge")
    if entry.isActiveLow { words.append("active-low") }
    if entry.isMasked { words.append("masked") }
    if entry.remoteIRR { words.append("remote-IRR") }
    if isPending { words.append("pending") }
    if let counters {
      words.append(
        "(raised \(counters.raised), delivered \(counters.delivered), coalesced "
          + "\(counters.coalesced), ignored \(counters.ignored), ended \(counters.ended))"
      )
    }
    return words.joined(separator: " ")
  }

  /// One pin of the 8259s.
  static func picPin(
    _ pin: Int,
    vector: UInt8,
    isRequested: Bool,
    isInService: Bool,
    isMasked: Bool,
    isLevelTriggered: Bool,
    counters: PICPin.Counters? = nil
  ) -> String {
    var words = ["IRQ \(pin):", "vector \(hex(UInt64(vector)))"]
    words.append(isLevelTriggered ? "level" : "edge")
    if isMasked { words.append("masked") }
    if isRequested { words.append("requested") }
    if isInService { words.append("in-service") }
    if let counters {
      words.append(
        "(raised \(counters.raised), delivered \(counters.delivered), withdrawn "
          + "\(counters.withdrawn), ended \(counters.ended))"
      )
    }
    return words.joined(separator: " ")
  }

  /// One local APIC.
  static func localAPIC(_ number: Int, _ state: LocalAPIC.State) -> [String] {
    let names = ["timer", "thermal", "performance", "LINT0", "LINT1", "error", "CMCI"]
    let vectors = zip(names, state.vectors).map { "\($0) \(hex(UInt64($1)))" }
    return [
      "local APIC \(number): TPR \(hex(UInt64(state.taskPriority))), "
        + "SVR \(hex(UInt64(state.spurious))), ESR \(hex(UInt64(state.errorStatus)))",
      "  pending \(list(state.requestedVectors)), in service \(list(state.inServiceVectors)), "
        + "level \(list(state.levelTriggeredVectors))",
      "  \(vectors.joined(separator: ", "))",
    ]
  }

  private static func list(_ vectors: [UInt8]) -> String {
    vectors.isEmpty ? "none" : vectors.map { hex(UInt64($0)) }.joined(separator: " ")
  }
}

extension IOAPIC {
  /// Its pins, for a user to see.
  var report: [String] {
    ["I/O APIC:"]
      + pins.enumerated().map { number, pin in
        "  "
          + ControllerReport.ioAPICPin(
            number,
            pin.entry,
            isPending: pin.isPending,
            isAsserted: pin.isAsserted,
            counters: pin.counters
          )
      }
  }
}

extension PICPair {
  /// Its pins, for a user to see.
  var report: [String] {
    ["8259s: \(isRequesting ? "requesting" : "quiet"), spurious \(spuriousCount)"]
      + pins.enumerated().map { number, pin in
        "  "
          + ControllerReport.picPin(
            number,
            vector: pin.vector,
            isRequested: pin.isRequested,
            isInService: pin.isInService,
            isMasked: pin.isMasked,
            isLevelTriggered: pin.isLevelTriggered,
            counters: pin.counters
          )
      }
  }
}

extension VM {
  /// The pins of KVM's own chips, for a user to see.
  var chipReport: [String] {
    get throws(KVMError) {
      // struct kvm_ioapic_state: base, IOREGSEL, ID, IRR, padding, and the table from byte 24.
      let ioAPIC = try irqChipState(.ioapic).bytes
      let requests = ioAPIC.word(at: 16)
      var lines = ["I/O APIC (KVM):"]
      for pin in 0..<24 {
        let offset = 24 + 8 * pin
        let entry = UInt64(ioAPIC.word(at: offset)) | UInt64(ioAPIC.word(at: offset + 4)) << 32
        let isPending = requests >> UInt32(pin) & 1 != 0
        lines.append(
          "  "
            + ControllerReport.ioAPICPin(
              pin,
              RedirectionEntry(rawValue: entry),
              isPending: isPending,
              isAsserted: nil
            )
        )
      }
      lines.append("8259s (KVM):")
      for (index, chip) in [IRQChip.picMaster, .picSlave].enumerated() {
        // struct kvm_pic_state: last_irr, irr, imr, isr, priority_add, irq_base, ... elcr at byte 14.
        let pic = try irqChipState(chip).bytes
        for input in 0..<8 {
          func bit(_ register: Int) -> Bool { pic[register] >> UInt8(input) & 1 != 0 }
          lines.append(
            "  "
              + ControllerReport.picPin(
                8 * index + input,
                vector: pic[5] &+ UInt8(input),
                isRequested: bit(1),
                isInService: bit(3),
                isMasked: bit(2),
                isLevelTriggered: bit(14)
              )
          )
        }
      }
      return lines
    }
  }
}

extension [UInt8] {
  /// The little-endian word at `offset`.
  fileprivate func word(at offset: Int) -> UInt32 {
    self[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}

extension LocalAPIC.State {
  /// What a local APIC of KVM's holds (SDM volume 3A, table 11-1).
  init(_ kernel: LocalAPICState) {
    self.init()
    taskPriority = UInt8(truncatingIfNeeded: kernel[0x80])
    spurious = kernel[0xF0]
    errorStatus = UInt8(truncatingIfNeeded: kernel[0x280])
    inService = (0..<8).map { kernel[0x100 + 16 * $0] }
    triggerMode = (0..<8).map { kernel[0x180 + 16 * $0] }
    requested = (0..<8).map { kernel[0x200 + 16 * $0] }
    vectors = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x2F0].map { kernel[$0] }
  }
}

extension InterruptCounters {
  /// What became of the interrupts of a pin, which the router does not see.
  init(of pin: ControllerPin, _ ioAPIC: IOAPIC, _ pic: PICPair) {
    self.init()
    switch pin {
    case .ioAPIC(let number):
      let counters = ioAPIC.pins[number].counters
      delivered = counters.delivered
      coalesced = counters.coalesced
    case .pic(let number):
      delivered = pic.pins[number].counters.delivered
    }
  }
}
