public import DeviceModel
public import HostOS
import Synchronization

/// Serial output into a file descriptor: a terminal, a pipe, a file or a socket.
///
/// Bytes gather in a buffer that a thread of this object writes out: at a line feed, at 64 bytes,
/// and at the latest 5 ms after the first. A descriptor that takes nothing more fills the buffer;
/// then ``transmit(_:)`` refuses and the guest is held back, without a byte lost. Output to a
/// descriptor that has failed (its reader is gone, say) is dropped.
public final class SerialOutput: SerialBackend {
  /// How long a byte waits for company at most, in nanoseconds.
  public static var patience: UInt64 { 5_000_000 }
  /// How many bytes are written at once without waiting for a line feed.
  public static var batch: Int { 64 }
  /// How many bytes the buffer holds before the guest is held back.
  public static var capacity: Int { 65_536 }

  private let writer: SerialWriter
  private let clock: any DeviceClock
  private let timer: any DeviceTimer
  private let thread: Mutex<Thread?>

  /// Starts the thread that writes.
  ///
  /// - Parameters:
  ///   - descriptor: Where to write; closed when this object goes. Its flags are left as they are.
  ///   - clock: Times ``patience``.
  /// - Throws: ``SystemError`` if the host has no descriptor or thread left.
  public init(
    to descriptor: consuming OwnedFileDescriptor,
    clock: any DeviceClock
  ) throws(SystemError) {
    let writer = try SerialWriter(to: SerialSink(descriptor))
    self.writer = writer
    self.clock = clock
    timer = clock.makeTimer()
    timer.whenExpired { writer.flush() }
    thread = Mutex(try Thread("serial output") { writer.run() })
  }

  deinit { stop(within: 200) }

  /// Takes a byte into the buffer.
  public func transmit(_ byte: UInt8) -> Bool {
    switch writer.append(byte) {
    case .full: return false
    case .enough: writer.wake()
    case .first: timer.arm(at: clock.monotonic &+ Self.patience)
    case .more: break
    }
    return true
  }

  /// Sets what to call, on the writing thread, once there is room again after a refusal.
  public func whenReady(_ action: @escaping @Sendable () -> Void) {
    writer.whenReady(action)
  }

  /// Writes out what is in the buffer and ends the thread; later output is dropped.
  ///
  /// - Parameter milliseconds: How long to wait for a descriptor that takes nothing.
  public func finish(within milliseconds: Int = 1000) { stop(within: milliseconds) }

  private func stop(within milliseconds: Int) {
    let deadline = clock.monotonic &+ UInt64(clamping: milliseconds) &* 1_000_000
    timer.disarm()
    writer.stop(at: deadline)
    // Letting go of the handle joins the thread.
    thread.withLock { $0 = nil }
  }
}
