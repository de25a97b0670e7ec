public import DeviceModel
import HostOS
import Synchronization

/// A 16550A serial port: eight byte-wide registers (National Semiconductor PC16550D datasheet).
///
/// What the guest sends goes to a ``SerialBackend``, at once; while that has no room, the
/// transmitter stays full and the guest is held back by LSR, so nothing is lost and no vCPU waits.
/// What comes from outside arrives through ``receive(_:)``, from any thread. The line is driven
/// whatever OUT2 says: on a PC that pin only gates the interrupt onto the bus, and every driver that
/// wants interrupts sets it.
public final class Serial16550: BusDevice {
  /// How many ports it claims.
  public static var size: UInt64 { 8 }

  // Held over calls to the backend, the line and the timer, none of which calls back: two vCPUs
  // would otherwise swap bytes, or leave the line at the older level.
  // Lock order: the port's before the backend's, the line's and the clock's.
  private let state = Mutex(UART())
  private let feeder = SharedAction()
  private let line: any InterruptLine
  private let backend: any SerialBackend
  private let clock: any DeviceClock
  private let timer: any DeviceTimer

  /// Makes a port as it is after a master reset.
  ///
  /// - Parameters:
  ///   - line: Its interrupt; on a PC's first port, IRQ 4.
  ///   - backend: Where the guest's output goes.
  ///   - clock: Times the interrupt for received bytes that do not reach the trigger level.
  public init(line: any InterruptLine, backend: any SerialBackend, clock: any DeviceClock) {
    self.line = line
    self.backend = backend
    self.clock = clock
    timer = clock.makeTimer()
    timer.whenExpired { [weak self] in self?.timeOut() }
    backend.whenReady { [weak self] in self?.update { _ in } }
  }

  /// Reads registers, a byte each.
  public func read(_ access: BusAccess) -> UInt64 {
    update { uart in
      access.readBytes { offset in
        SerialRegister(rawValue: offset).map { uart.read($0) } ?? 0
      }
    }
  }

  /// Writes registers, a byte each.
  public func write(_ value: UInt64, _ access: BusAccess) {
    // Each byte is settled by itself: the line falls between a write and the next empty transmitter.
    access.writeBytes(value) { offset, byte in
      guard let register = SerialRegister(rawValue: offset) else { return }
      update { $0.write(byte, register) }
    }
  }

  /// Hands bytes to the guest, as many as the receiver has room for.
  ///
  /// Any thread may call. If fewer than all are taken, the action of ``whenReceiverReady(_:)`` is
  /// called once the guest has made room.
  ///
  /// - Parameter bytes: What arrives, in order.
  /// - Returns: How many were taken, from the start; none while the guest has the port in loopback.
  public func receive(_ bytes: some Sequence<UInt8>) -> Int {
    update { uart in
      var count = 0
      for byte in bytes {
        guard uart.canReceive else {
          uart.hasRefused = true
          break
        }
        uart.receive(.init(byte: byte))
        count += 1
      }
      return count
    }
  }

  /// Sends the guest a break: a zero byte with LSR's break bit (PC16550D, 8.4).
  ///
  /// - Returns: False if the receiver has no room.
  @discardableResult
  public func receiveBreak() -> Bool {
    update { uart in
      guard uart.canReceive else { return false }
      uart.receive(.init(byte: 0, errors: .breakReceived))
      return true
    }
  }

  /// Sets what to call when a feeder that was turned away may try again.
  ///
  /// - Parameter action: Called on a vCPU thread with no lock held: it should only wake a thread.
  public func whenReceiverReady(_ action: @escaping @Sendable () -> Void) {
    feeder.set(action)
  }

  /// Puts the port to its state after a master reset; bytes in its FIFOs are lost.
  public func reset() {
    update { $0.reset() }
  }

  /// All it remembers, to be saved and put back; any thread.
  ///
  /// Putting it back sets the line, and sends what the guest had written and was not sent.
  public var savedState: SerialState {
    get { state.withLock { $0.state } }
    set { update { $0.restore(newValue) } }
  }

  private func timeOut() {
    update { uart in
      // A timer that was set again after it had expired calls too early.
      guard uart.awaitsTimeout, clock.monotonic >= uart.timeoutDeadline else { return }
      uart.expireTimeout()
    }
  }

  /// Changes the registers, then carries out what follows from the change.
  private func update<Result>(_ body: (inout UART) -> Result) -> Result {
    let (result, wantsFeeding) = state.withLock { uart in
      let result = body(&uart)
      // Before and after sending: a write takes back the transmitter's interrupt until the byte
      // is gone, and an edge-triggered controller must see that.
      settleLine(&uart)
      drain(&uart)
      settleLine(&uart)
      settleTimer(&uart)
      let wantsFeeding = uart.wantsFeeding
      if wantsFeeding { uart.hasRefused = false }
      return (result, wantsFeeding)
    }
    if wantsFeeding { feeder() }
    return result
  }

  private func drain(_ uart: inout UART) {
    while let byte = uart.transmitter.first?.byte {
      if uart.isLoopback {
        uart.receive(.init(byte: byte))
      } else if !backend.transmit(byte) {
        return
      }
      uart.transmitted()
    }
  }

  private func settleLine(_ uart: inout UART) {
    let level = uart.isInterrupting
    guard level != uart.lineLevel else { return }
    uart.lineLevel = level
    if level { line.assert() } else { line.deassert() }
  }

  private func settleTimer(_ uart: inout UART) {
    guard uart.restartsTimeout else { return }
    uart.restartsTimeout = false
    if uart.awaitsTimeout {
      uart.timeoutDeadline = clock.monotonic &+ uart.timeout
      timer.arm(at: uart.timeoutDeadline)
    } else if uart.timeoutDeadline != .max {
      uart.timeoutDeadline = .max
      timer.disarm()
    }
  }
}
