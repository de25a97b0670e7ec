import Interrupts
import KVM

/// `struct kvm_lapic_state` (api.rst, 4.57 and 4.58): the first 1024 bytes of the register page, whose offsets are those of
/// SDM volume 3A, table 11-1.
///
/// IA32_APIC_BASE and IA32_TSC_DEADLINE are not in it. In x2APIC mode the ID is in bits 31:24 all the same (KVM_CAP_X2APIC_API,
/// which would change that, is not asked for), and the interrupt command register is in two halves.
///
/// KVM has no errors that wait to be shown (SDM volume 3A, 11.5.3), and no external interrupt that a message has asked
/// for: both get lost there. The count of its timer is what the current-count register shows. KVM starts a one-shot whose count
/// is 0 at once, since it cannot tell one that has just come due from one that came long ago, and the same is done
/// with one that is taken from it, unless its vector is pending or in service: one timer interrupt too many, not one too
/// few. One that has come for certain goes there with an initial count of 0, and comes no more.
extension LocalAPIC.State {
  private enum Offset {
    static var id: Int { 0x20 }
    static var taskPriority: Int { 0x80 }
    static var logicalDestination: Int { 0xD0 }
    static var destinationFormat: Int { 0xE0 }
    static var spurious: Int { 0xF0 }
    static var inService: Int { 0x100 }
    static var triggerMode: Int { 0x180 }
    static var requested: Int { 0x200 }
    static var errorStatus: Int { 0x280 }
    static var command: Int { 0x300 }
    static var initialCount: Int { 0x380 }
    static var currentCount: Int { 0x390 }
    static var divideConfiguration: Int { 0x3E0 }
    /// In the order of ``LocalAPIC/State/vectors``.
    static var vectors: [Int] { [0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x2F0] }
  }

  /// Takes KVM's state, and what KVM keeps in registers elsewhere.
  init(_ kernel: LocalAPICState, base: UInt64, timestampDeadline: UInt64) {
    self.init(kernel)
    self.base = base
    logicalDestination = kernel[Offset.logicalDestination]
    destinationFormat = kernel[Offset.destinationFormat]
    command = UInt64(kernel[Offset.command + 0x10]) << 32 | UInt64(kernel[Offset.command])
    initialCount = kernel[Offset.initialCount]
    divideConfiguration = kernel[Offset.divideConfiguration] & 0xB
    self.timestampDeadline = timestampDeadline
    guard vectors[0] >> 17 & 3 < 2, initialCount != 0 else { return }
    let count = kernel[Offset.currentCount]
    timerRemaining = UInt64(count) << countShift
    if count == 0, vectors[0] >> 17 & 3 == 0 {
      let vector = UInt8(truncatingIfNeeded: vectors[0])
      let hasCome = requestedVectors.contains(vector) || inServiceVectors.contains(vector)
      if hasCome || vectors[0] & 1 << 16 != 0 { timerRemaining = nil }
    }
  }

  /// Puts it into KVM's layout; what is KVM's own, such as the version, stays.
  func applied(to kernel: LocalAPICState, id: UInt32) -> LocalAPICState {
    var kernel = kernel
    kernel[Offset.id] = id << 24
    kernel[Offset.taskPriority] = UInt32(taskPriority)
    kernel[Offset.logicalDestination] = logicalDestination
    kernel[Offset.destinationFormat] = destinationFormat
    kernel[Offset.spurious] = spurious
    for index in 0..<8 {
      kernel[Offset.inService + 16 * index] = inService.register(index)
      kernel[Offset.triggerMode + 16 * index] = triggerMode.register(index)
      kernel[Offset.requested + 16 * index] = requested.register(index)
    }
    kernel[Offset.errorStatus] = UInt32(errorStatus)
    kernel[Offset.command] = UInt32(truncatingIfNeeded: command)
    kernel[Offset.command + 0x10] = UInt32(truncatingIfNeeded: command >> 32)
    for (offset, value) in zip(Offset.vectors, vectors) { kernel[offset] = value }
    kernel[Offset.divideConfiguration] = divideConfiguration & 0xB
    let remaining = timerRemaining ?? 0
    let isOver = vectors.first.map { $0 >> 17 & 3 == 0 } == true && timerRemaining == nil
    kernel[Offset.initialCount] = isOver ? 0 : initialCount
    let (shift, one) = (countShift, UInt64(1))
    let count = remaining >> shift &+ (remaining & (one << shift &- 1) != 0 ? 1 : 0)
    kernel[Offset.currentCount] = UInt32(clamping: count)
    return kernel
  }

  // SDM volume 3A, figure 11-10: bits 3, 1 and 0 are one number; 0 divides by 2, 6 by 128, and 7 by 1. The
  // clock is of 1 GHz in KVM, too.
  private var countShift: UInt64 {
    (UInt64(divideConfiguration & 3 | divideConfiguration >> 1 & 4) &+ 1) & 7
  }
}

extension [UInt32] {
  fileprivate func register(_ index: Int) -> UInt32 { index < count ? self[index] : 0 }
}
