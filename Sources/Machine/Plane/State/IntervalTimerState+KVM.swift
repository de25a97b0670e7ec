import KVM
import Platform

/// `struct kvm_pit_state2` (api.rst, 4.72 and 4.73; arch/x86/include/uapi/asm/kvm.h): three channels of 24 bytes, and flags.
///
/// KVM begins the whole count of each channel when it is set: the next interrupt comes later than it would have, by
/// less than a period. Of the first channel it does not say how far it has counted, so that a count that ends once
/// is taken from KVM as if it had just begun, and may end a second time. One that has ended, here, goes there in a mode in which
/// KVM does not count, 5, so that it does not; a guest that reads back the status sees that. A channel in mode 0 whose
/// count has not been written goes there as one that was never programmed (mode 255); in another mode it counts there at once.
/// A count that waits for the end of a cycle is in force at once there, and the first two gates are open, as they
/// always are on a PC.
extension IntervalTimerState {
  private enum Offset {
    static var channelSize: Int { 24 }
    static var flags: Int { 72 }
  }

  private static var speakerFlag: UInt32 { 1 << 1 }

  /// Takes KVM's state at `now`, in nanoseconds of the host's monotonic clock.
  init(_ kernel: PITState, now: UInt64) {
    self.init()
    let flags = UInt32(kernel.bytes.number(at: Offset.flags, size: 4))
    for index in 0..<3 {
      let channel = Array(kernel.bytes[(index * Offset.channelSize)...].prefix(Offset.channelSize))
      counters[index] = Counter(channel, index: index, now: now)
    }
    control = (counters[2].gate ? 1 : 0) | (flags & Self.speakerFlag != 0 ? 2 : 0)
    let first = counters[0]
    lineLevel = first.control >> 1 & 7 != 0
  }

  /// Puts it into KVM's layout.
  ///
  /// - Parameters:
  ///   - kernel: KVM's state, of which flags stay that are not the speaker's.
  ///   - now: Nanoseconds of the host's monotonic clock.
  /// - Returns: What is to be set.
  func applied(to kernel: PITState, now: UInt64) -> PITState {
    var kernel = kernel
    for (index, counter) in counters.prefix(3).enumerated() {
      let channel = counter.kernelBytes(index: index, now: now)
      kernel.bytes.replaceSubrange(
        index * Offset.channelSize..<(index + 1) * Offset.channelSize,
        with: channel
      )
    }
    var flags = UInt32(kernel.bytes.number(at: Offset.flags, size: 4)) & ~Self.speakerFlag
    if control & 2 != 0 { flags |= Self.speakerFlag }
    kernel.bytes.setNumber(UInt64(flags), at: Offset.flags, size: 4)
    return kernel
  }
}

extension IntervalTimerState.Counter {
  private enum Offset {
    static var count: Int { 0 }
    static var latchedCount: Int { 4 }
    static var isCountLatched: Int { 6 }
    static var isStatusLatched: Int { 7 }
    static var status: Int { 8 }
    static var readState: Int { 9 }
    static var writeState: Int { 10 }
    static var writeLatch: Int { 11 }
    static var bytesMode: Int { 12 }
    static var mode: Int { 13 }
    static var isBCD: Int { 14 }
    static var gate: Int { 15 }
    static var loadTime: Int { 16 }
  }

  /// KVM's RW_STATE_WORD1: the high byte is next.
  private static var highByte: UInt8 { 4 }
  /// The mode of a channel that was never programmed.
  private static var noMode: UInt8 { 0xFF }

  fileprivate init(_ kernel: [UInt8], index: Int, now: UInt64) {
    self.init()
    gate = index == 2 ? kernel[Offset.gate] != 0 : true
    let (mode, bytes) = (kernel[Offset.mode], kernel[Offset.bytesMode] & 3)
    guard mode != Self.noMode else { return }
    control = (bytes == 0 ? 3 : bytes) << 4 | (mode & 7) << 1 | (kernel[Offset.isBCD] != 0 ? 1 : 0)
    isCounting = true
    awaitsCount = false
    let written = UInt32(truncatingIfNeeded: kernel.number(at: Offset.count, size: 4))
    count = min(max(written, 1), 65_536)
    let load = kernel.number(at: Offset.loadTime, size: 8)
    if index != 0, load < now {
      let passed = (now - load).multipliedFullWidth(by: IntervalTimer.frequency)
      elapsed =
        passed.high < 1_000_000_000
        ? Int64(clamping: UInt64(1_000_000_000).dividingFullWidth(passed).quotient) : .max
    }
    if index == 2, !gate {
      isHeld = true
      elapsed = 0
    }
    if kernel[Offset.writeState] == Self.highByte { writtenLow = kernel[Offset.writeLatch] }
    readsHigh =
      kernel[Offset.readState] == Self.highByte || kernel[Offset.isCountLatched] == Self.highByte
    if kernel[Offset.isCountLatched] != 0 {
      latchedCount = UInt16(truncatingIfNeeded: kernel.number(at: Offset.latchedCount, size: 2))
    }
    if kernel[Offset.isStatusLatched] != 0 { latchedStatus = kernel[Offset.status] }
  }

  fileprivate func kernelBytes(index: Int, now: UInt64) -> [UInt8] {
    var kernel = [UInt8](repeating: 0, count: 24)
    let bytes = control >> 4 & 3
    // Modes 6 and 7 are 2 and 3 (8254, figure 7).
    var mode = control >> 1 & 7
    if mode > 5 { mode -= 4 }
    let isUntouched = awaitsCount && !isCounting && control == 0x30
    let hasEnded = ![2, 3].contains(mode) && isCounting && elapsed >= Int64(count)
    if index == 0, hasEnded { mode = 5 }
    kernel[Offset.mode] = isUntouched ? Self.noMode : mode
    kernel.setNumber(UInt64(nextCount ?? count), at: Offset.count, size: 4)
    if let latchedCount {
      kernel.setNumber(UInt64(latchedCount), at: Offset.latchedCount, size: 2)
      kernel[Offset.isCountLatched] = bytes == 3 && readsHigh ? Self.highByte : bytes
    }
    if let latchedStatus {
      kernel[Offset.isStatusLatched] = 1
      kernel[Offset.status] = latchedStatus
    }
    kernel[Offset.readState] =
      bytes == 3 && readsHigh && latchedCount == nil ? Self.highByte : bytes
    kernel[Offset.writeState] = writtenLow != nil ? Self.highByte : bytes
    kernel[Offset.writeLatch] = writtenLow ?? 0
    kernel[Offset.bytesMode] = bytes
    kernel[Offset.isBCD] = control & 1
    kernel[Offset.gate] = gate ? 1 : 0
    kernel.setNumber(now, at: Offset.loadTime, size: 8)
    return kernel
  }
}

extension [UInt8] {
  /// The little-endian number of `size` bytes at `offset`.
  fileprivate func number(at offset: Int, size: Int) -> UInt64 {
    self[offset..<offset + size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  fileprivate mutating func setNumber(_ value: UInt64, at offset: Int, size: Int) {
    for index in 0..<size {
      self[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }
}
