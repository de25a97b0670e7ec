public import DeviceModel
import Synchronization

/// Sets the lines of the interrupt controllers by number, for ``TestDevice``.
public protocol TestLines: AnyObject, Sendable {
  /// Sets global interrupt `line`, 0 to 23, high or low.
  func setLine(_ line: Int, to level: Bool)
}

/// QEMU's `pc-testdev`, which hypervisor test programs use.
///
/// It claims three ranges: range 0, ports 0xE0 to 0xEF, and range 2, 64 KiB of memory at 0xFF00_0000,
/// read back what was written at any width; in range 1, ports 0x2000 to 0x2017, a write sets the
/// interrupt line of that number to the value's truth.
public final class TestDevice: BusDevice {
  /// The ports of range 0, which read back what was written.
  public static var echoPorts: Range<UInt64> { 0xE0..<0xF0 }
  /// The ports of range 1, one for each interrupt line.
  public static var linePorts: Range<UInt64> { 0x2000..<0x2018 }
  /// The addresses of range 2, which read back what was written.
  public static var echoMemory: Range<UInt64> { 0xFF00_0000..<0xFF01_0000 }

  private struct State {
    var ports = InlineArray<16, UInt8>(repeating: 0)
    // Made at the first write: most guests never touch it.
    var memory: [UInt8] = []
    var lines: UInt32 = 0
  }

  /// All it remembers, to be saved and put back.
  public struct SavedState: Equatable, Sendable {
    /// The 16 bytes of range 0.
    public var ports: [UInt8] = Array(repeating: 0, count: 16)
    /// The bytes of range 2; none if they are all zero.
    public var memory: [UInt8] = []
    /// The lines that are high, one bit each.
    public var lines: UInt32 = 0

    /// As at power-on.
    public init() {}
  }

  private let state = Mutex(State())
  private let lines: any TestLines

  /// Makes a device that sets `lines`.
  public init(lines: any TestLines) { self.lines = lines }

  /// Reads back what was written; the interrupt lines read as zero.
  public func read(_ access: BusAccess) -> UInt64 {
    state.withLock { state in
      access.readBytes { offset in
        switch access.region {
        case 0: offset < 16 ? state.ports[Int(offset)] : 0
        case 2: offset < state.memory.count ? state.memory[Int(offset)] : 0
        default: 0
        }
      }
    }
  }

  /// All it remembers, to be saved and put back; any thread.
  ///
  /// Putting it back sets the lines.
  public var savedState: SavedState {
    get {
      state.withLock { state in
        var saved = SavedState()
        for index in 0..<16 { saved.ports[index] = state.ports[index] }
        saved.memory = state.memory
        saved.lines = state.lines
        return saved
      }
    }
    set {
      state.withLock { state in
        for (index, value) in newValue.ports.prefix(16).enumerated() { state.ports[index] = value }
        let count = Self.echoMemory.count
        let memory = newValue.memory.prefix(count)
        state.memory =
          memory.isEmpty ? [] : memory + [UInt8](repeating: 0, count: count - memory.count)
        state.lines = newValue.lines & 0x00FF_FFFF
        for line in 0..<24 { lines.setLine(line, to: state.lines >> UInt32(line) & 1 != 0) }
      }
    }
  }

  /// Keeps what is written, or sets an interrupt line.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard access.region != 1 else {
      guard let line = Int(exactly: access.offset), line < 24 else { return }
      let bit: UInt32 = 1 << UInt32(line)
      // Held over the line, which does not call back: what is remembered is what was set last.
      state.withLock { state in
        state.lines = value != 0 ? state.lines | bit : state.lines & ~bit
        lines.setLine(line, to: value != 0)
      }
      return
    }
    state.withLock { state in
      if access.region == 2, state.memory.isEmpty {
        state.memory = [UInt8](repeating: 0, count: Self.echoMemory.count)
      }
      access.writeBytes(value) { offset, byte in
        if access.region == 0, offset < 16 {
          state.ports[Int(offset)] = byte
        } else if access.region == 2, offset < state.memory.count {
          state.memory[Int(offset)] = byte
        }
      }
    }
  }
}
