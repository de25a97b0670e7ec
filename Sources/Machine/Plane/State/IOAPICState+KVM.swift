import Interrupts
import KVM

/// `struct kvm_ioapic_state` (api.rst, 4.26 and 4.27; arch/x86/include/uapi/asm/kvm.h): base address, IOREGSEL, ID, IRR,
/// padding, and the redirection table.
///
/// Its IRR has a bit for each pin. Of a level pin that is the level, delivered or not. Of an edge pin it is an
/// edge that was not delivered: KVM leaves out what was when it is asked. One that came while its pin was masked stays there
/// too, and never comes, as on hardware (82093AA, 3.2.4, bit 16): it is left out here. Whether the pin of a delivered edge
/// is still high cannot be told.
///
/// When the state is set, KVM raises each pin of IRR anew: a level that has its remote IRR waits for the end, and an edge is
/// delivered at once. An edge that was pending when its pin was masked, which hardware delivers at the unmasking, is lost
/// there. There is no arbitration ID, which is the ID.
extension IOAPICState {
  private enum Offset {
    static var select: Int { 8 }
    static var id: Int { 12 }
    static var requests: Int { 16 }
  }

  /// Takes KVM's state.
  ///
  /// - Parameters:
  ///   - kernel: What KVM says.
  ///   - levels: The levels of the lines that this process drives.
  init(_ kernel: IRQChipState, levels: UInt32) {
    let requests = kernel.word(at: Offset.requests)
    let id = UInt8(truncatingIfNeeded: kernel.word(at: Offset.id)) & 0x0F
    self.init(
      index: UInt8(truncatingIfNeeded: kernel.word(at: Offset.select)),
      id: id,
      arbitrationID: id,
      entries: (0..<IOAPIC.pinCount).map {
        RedirectionEntry(rawValue: kernel[redirectionEntry: $0])
      },
      pendingEdges: 0,
      levels: levels
    )
    for pin in 0..<IOAPIC.pinCount where requests >> UInt32(pin) & 1 != 0 {
      let bit: UInt32 = 1 << UInt32(pin)
      let entry = entries[pin]
      if entry.hasLevelTrigger {
        self.levels |= bit
      } else if !entry.isMasked {
        pendingEdges |= bit
      }
    }
  }

  /// Puts it into KVM's layout.
  ///
  /// - Parameters:
  ///   - kernel: KVM's state, whose base address stays.
  ///   - levels: The levels of the pins as they are now: a level that nobody holds up any more does not come
  ///     back.
  /// - Returns: What is to be set.
  func applied(to kernel: IRQChipState, levels: UInt32) -> IRQChipState {
    var kernel = kernel
    kernel.setWord(UInt32(index), at: Offset.select)
    kernel.setWord(UInt32(id & 0x0F), at: Offset.id)
    var requests: UInt32 = 0
    for pin in 0..<IOAPIC.pinCount {
      let entry = pin < entries.count ? entries[pin] : .reset
      let bit: UInt32 = 1 << UInt32(pin)
      // Delivery status is worked out from IRR, and remote IRR is a level's alone.
      var value = entry.rawValue & 0xFF00_0000_0001_EFFF
      if !entry.isLevelTriggered { value &= ~(1 << 14) }
      kernel[redirectionEntry: pin] = value
      requests |= (entry.hasLevelTrigger ? levels : pendingEdges) & bit
    }
    kernel.setWord(requests, at: Offset.requests)
    return kernel
  }
}

extension IRQChipState {
  /// The little-endian word at `offset`.
  func word(at offset: Int) -> UInt32 {
    bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func setWord(_ value: UInt32, at offset: Int) {
    for index in 0..<4 {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index))
    }
  }
}
