public import DeviceModel
import Synchronization

/// A PC's real-time clock and CMOS memory: an MC146818A behind an index port and a data port.
///
/// It shows the host's time in UTC, to which the guest may set a difference that lives as long as
/// this object. Alarm, update and periodic interrupts come from the clock's timers; none runs while
/// the guest has not enabled one. Any thread may call.
public final class RealTimeClock: BusDevice {
  /// How many ports it claims.
  public static var size: UInt64 { 2 }

  private let clock: any DeviceClock
  private let timer: any DeviceTimer
  private let line: any InterruptLine
  // Held over calls to the line and the timer, neither of which calls back, so that the last
  // change wins. Lock order: this before the line's and the clock's.
  private let state: Mutex<CMOS>

  /// Makes a clock on the host's time.
  ///
  /// - Parameters:
  ///   - line: Its interrupt; on a PC, IRQ 8.
  ///   - clock: The time.
  ///   - lowMemory: Bytes of RAM from address 0 up to the hole below 4 GiB, for the sizes that
  ///     firmware leaves in the CMOS memory.
  ///   - highMemory: Bytes of RAM from 4 GiB up.
  public init(
    line: any InterruptLine,
    clock: any DeviceClock,
    lowMemory: UInt64 = 0,
    highMemory: UInt64 = 0
  ) {
    self.line = line
    self.clock = clock
    timer = clock.makeTimer()
    var cmos = CMOS(at: Self.now(of: clock))
    Self.setMemorySizes(in: &cmos, low: lowMemory, high: highMemory)
    state = Mutex(cmos)
    timer.whenExpired { [weak self] in
      self?.update { cmos, now in
        cmos.armed = nil
        cmos.advance(to: now)
      }
    }
  }

  /// Reads the data port; the index port cannot be read back.
  public func read(_ access: BusAccess) -> UInt64 {
    access.readBytes { offset in
      guard offset == 1 else { return 0xFF }
      return update { cmos, now in cmos.read(at: now) }
    }
  }

  /// Writes the index, the register it selects, or both.
  public func write(_ value: UInt64, _ access: BusAccess) {
    access.writeBytes(value) { offset, byte in
      if offset == 0 {
        state.withLock { $0.select(byte) }
      } else if offset == 1 {
        update { cmos, now in cmos.write(byte, at: now) }
      }
    }
  }

  /// Turns interrupts off, as the chip's RESET pin does; time and memory are kept.
  public func reset() {
    update { cmos, now in cmos.reset(at: now) }
  }

  /// All it remembers, to be saved and put back; any thread.
  ///
  /// Putting it back sets the line. Flags that would have come meanwhile do not.
  public var savedState: CMOSState {
    get {
      update { cmos, now in
        // With no interrupt enabled, nobody has looked for a while.
        cmos.advance(to: now)
        return cmos.state
      }
    }
    set { update { cmos, now in cmos.restore(newValue, at: now) } }
  }

  private static func now(of clock: any DeviceClock) -> CMOS.Instant {
    CMOS.Instant(monotonic: clock.monotonic, realTime: clock.realTime)
  }

  private func update<Result>(_ body: (inout CMOS, CMOS.Instant) -> Result) -> Result {
    state.withLock { cmos in
      let now = Self.now(of: clock)
      let hadInterrupts = !cmos.b.isDisjoint(with: .interrupts)
      let result = body(&cmos, now)
      let hasInterrupts = !cmos.b.isDisjoint(with: .interrupts)
      guard hadInterrupts || hasInterrupts else { return result }
      if hasInterrupts { cmos.advance(to: now) }
      let level = cmos.isInterrupting
      if level != cmos.lineLevel {
        cmos.lineLevel = level
        if level { line.assert() } else { line.deassert() }
      }
      let deadline = cmos.deadline(after: now)
      if deadline != cmos.armed {
        cmos.armed = deadline
        if let deadline { timer.arm(at: deadline) } else { timer.disarm() }
      }
      return result
    }
  }

  /// Leaves the sizes of memory where PC firmware does.
  private static func setMemorySizes(in cmos: inout CMOS, low: UInt64, high: UInt64) {
    func set(_ registers: ClosedRange<Int>, to value: UInt64) {
      for (index, register) in registers.enumerated() {
        cmos.setMemory(register, to: UInt8(truncatingIfNeeded: value >> (8 * UInt64(index))))
      }
    }
    let mebibyte: UInt64 = 1 << 20
    let extended = min((low - min(low, mebibyte)) >> 10, 0xFFFF)
    set(0x15...0x16, to: min(low >> 10, 640))  // below 640 KiB, in KiB
    set(0x17...0x18, to: extended)  // from 1 MiB, in KiB
    set(0x30...0x31, to: extended)  // the same, as firmware found it
    // From 16 MiB, in 64 KiB.
    set(0x34...0x35, to: min((low - min(low, 16 * mebibyte)) >> 16, 0xFFFF))
    set(0x5B...0x5D, to: min(high >> 16, 0xFF_FFFF))  // from 4 GiB, in 64 KiB
    // The checksum over 0x10 to 0x2D, high byte first.
    let sum = (0x10...0x2D).reduce(UInt16(0)) { $0 &+ UInt16(cmos.memory(at: $1)) }
    cmos.setMemory(0x2E, to: UInt8(sum >> 8))
    cmos.setMemory(0x2F, to: UInt8(sum & 0xFF))
  }
}
