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

  /// Keeps what is written, or sets an interrupt line.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard access.region != 1 else {
      guard let line = Int(exactly: access.offset), line < 24 else { return }
      lines.setLine(line, to: value != 0)
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
