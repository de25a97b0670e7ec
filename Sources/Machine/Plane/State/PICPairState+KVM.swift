import Interrupts
import KVM

/// Two of `struct kvm_pic_state` (api.rst, 4.26 and 4.27; arch/x86/include/uapi/asm/kvm.h), one byte a field.
///
/// KVM keeps an edge whose line has fallen before it was acknowledged, where the chip forgets it: such an edge
/// stays when it is brought here, once. Going there, edges are no longer forgotten. The first chip's input 2 is worked out
/// from the second by both. KVM knows no chip that was never initialised: one with nothing in it but requests, which
/// has vectors from 0, is taken for one; and put there, it is again one whose unmasked inputs request. A chip that is
/// to be alone (ICW1, bit 1) is one of two there.
extension PICPairState {
  /// Takes KVM's state; `levels` are those of the lines that this process drives.
  init(primary: IRQChipState, secondary: IRQChipState, levels: UInt16) {
    self.init()
    let second = PICState.taken(from: secondary, levels: UInt8(levels >> 8), cascade: 0)
    let first = PICState.taken(
      from: primary,
      levels: UInt8(truncatingIfNeeded: levels),
      cascade: 1 << 2
    )
    (self.primary, self.secondary) = (first.state, second.state)
    self.levels = UInt16(second.levels) << 8 | UInt16(first.levels)
  }

  /// Puts it into KVM's layout, with `levels` as the pins' levels now.
  func applied(
    to kernel: (primary: IRQChipState, secondary: IRQChipState),
    levels: UInt16
  ) -> (primary: IRQChipState, secondary: IRQChipState) {
    let second = secondary.applied(to: kernel.secondary, levels: UInt8(levels >> 8))
    var first = primary.applied(
      to: kernel.primary,
      levels: UInt8(truncatingIfNeeded: levels) & ~(1 << 2)
    )
    let requested = second.bytes[PICState.Offset.requests] & ~secondary.mask
    if requested != 0 { first.bytes[PICState.Offset.requests] |= 1 << 2 }
    return (first, second)
  }
}

extension PICState {
  fileprivate enum Offset {
    static var lastRequests: Int { 0 }
    static var requests: Int { 1 }
    static var mask: Int { 2 }
    static var inService: Int { 3 }
    static var highestPriority: Int { 4 }
    static var vectorBase: Int { 5 }
    static var readsInService: Int { 6 }
    static var polls: Int { 7 }
    static var masksSpecially: Int { 8 }
    static var sequence: Int { 9 }
    static var endsAutomatically: Int { 10 }
    static var rotatesAutomatically: Int { 11 }
    static var nestsSpecially: Int { 12 }
    static var hasFourthWord: Int { 13 }
    static var levelTriggered: Int { 14 }
  }

  /// Takes KVM's state of one chip, and finds the levels at its inputs.
  fileprivate static func taken(
    from kernel: IRQChipState,
    levels: UInt8,
    cascade: UInt8
  ) -> (state: Self, levels: UInt8) {
    let bytes = kernel.bytes
    var state = Self()
    state.levelTriggered = bytes[Offset.levelTriggered]
    let requests = bytes[Offset.requests] & ~cascade
    let levels = (levels | bytes[Offset.lastRequests] | requests & state.levelTriggered) & ~cascade
    state.edges = requests & ~state.levelTriggered
    state.latchedEdges = state.edges & ~levels
    state.mask = bytes[Offset.mask]
    state.inService = bytes[Offset.inService]
    state.lowestPriority = (bytes[Offset.highestPriority] &- 1) & 7
    state.vectorBase = bytes[Offset.vectorBase] & 0xF8
    state.readsInService = bytes[Offset.readsInService] != 0
    state.polls = bytes[Offset.polls] != 0
    state.masksSpecially = bytes[Offset.masksSpecially] != 0
    state.endsAutomatically = bytes[Offset.endsAutomatically] != 0
    state.rotatesAutomatically = bytes[Offset.rotatesAutomatically] != 0
    state.nestsSpecially = bytes[Offset.nestsSpecially] != 0
    let hasFourthWord = bytes[Offset.hasFourthWord] != 0
    state.firstWord = hasFourthWord ? 0x11 : 0x10
    switch bytes[Offset.sequence] {
    case 1: state.sequence = .vector
    case 2: state.sequence = .cascade
    case 3: state.sequence = .mode
    default:
      let isUntouched = state.vectorBase == 0 && state.mask == 0 && !hasFourthWord
      state.sequence = isUntouched ? .never : .done
      if isUntouched { state.firstWord = 0 }
    }
    return (state, levels)
  }

  /// Puts one chip into KVM's layout; which inputs ELCR can change stays KVM's.
  fileprivate func applied(to kernel: IRQChipState, levels: UInt8) -> IRQChipState {
    var kernel = kernel
    kernel.bytes[Offset.lastRequests] = levels
    kernel.bytes[Offset.requests] = edges & ~levelTriggered | levels & levelTriggered
    kernel.bytes[Offset.mask] = mask
    kernel.bytes[Offset.inService] = inService
    kernel.bytes[Offset.highestPriority] = (lowestPriority &+ 1) & 7
    kernel.bytes[Offset.vectorBase] = vectorBase & 0xF8
    kernel.bytes[Offset.readsInService] = readsInService ? 1 : 0
    kernel.bytes[Offset.polls] = polls ? 1 : 0
    kernel.bytes[Offset.masksSpecially] = masksSpecially ? 1 : 0
    kernel.bytes[Offset.sequence] =
      switch sequence {
      case .never, .done: 0
      case .vector: 1
      case .cascade: 2
      case .mode: 3
      }
    kernel.bytes[Offset.endsAutomatically] = endsAutomatically ? 1 : 0
    kernel.bytes[Offset.rotatesAutomatically] = rotatesAutomatically ? 1 : 0
    kernel.bytes[Offset.nestsSpecially] = nestsSpecially ? 1 : 0
    kernel.bytes[Offset.hasFourthWord] = firstWord & 1
    kernel.bytes[Offset.levelTriggered] = levelTriggered
    return kernel
  }
}
