public import DeviceModel
public import HostOS
import Interrupts
import Synchronization

/// The level interrupts of a device process: lines of devices on one side, a peer's eventfds on the other.
///
/// A pin is up while any of its lines is. The first assertion signals the pin's *trigger*; when the peer
/// signals the pin's *resample* eventfd, because an interrupt has ended, a pin that is still up signals its
/// trigger again. So the guest is interrupted, and its processors' interrupt controllers are served, with no
/// message and no thread of the VMM.
///
/// Any thread may call anything, at any time. The hub has a thread of its own for the ends of
/// interrupts, and not the server's: that one waits for a device's threads when it resets the device, and a
/// guest that has ended an interrupt must not wait with it. No eventfd is signalled with a lock of the hub's held, and none
/// is waited for by whoever changes a pin. The peer is not trusted with its eventfds: see ``IOHubPin``.
public final class IOHub: Sendable {
  /// When a pin that is up signals its trigger.
  public enum Policy: Sendable {
    /// Each time that it goes up, and at each resample while it is up: mpqemu.
    case everyRise
    /// As before, but once it has signalled it is silent until it is unmasked, by message or by the
    /// resample eventfd: vfio-user's INTx, whose interrupts are `AUTOMASKED`.
    case automask
  }

  private let pins: [IOHubPin]
  private let loop: Mutex<InterruptEventLoop?>

  /// Makes a hub with no eventfd at any pin.
  ///
  /// - Parameters:
  ///   - pinCount: How many pins there are.
  ///   - policy: When they signal.
  /// - Throws: `SystemError` if the host has no descriptor or thread left.
  public convenience init(pinCount: Int = 1, policy: Policy) throws(SystemError) {
    self.init(pinCount, policy, try InterruptEventLoop())
  }

  /// Makes a hub with no thread, for a test that calls ``turn()`` where it likes.
  package convenience init(
    pinCount: Int = 1,
    policy: Policy,
    withoutThread: Void
  ) throws(SystemError) {
    self.init(pinCount, policy, try InterruptEventLoop(withoutThread: ()))
  }

  private init(_ pinCount: Int, _ policy: Policy, _ loop: InterruptEventLoop) {
    let pace = IOHubPace()
    pins = (0..<pinCount).map { _ in IOHubPin(policy, pace) }
    self.loop = Mutex(loop)
  }

  deinit {
    for pin in pins { pin.disconnect(from: nil) }
    loop.withLock { $0 = nil }
  }

  /// Adds a line to a pin, which is not asserted; letting go of it de-asserts it.
  public func makeLine(_ pin: Int) -> any InterruptLine {
    precondition(pins.indices.contains(pin), "pin \(pin) of \(pins.count)")
    return IOHubLine(pins[pin])
  }

  /// Whether any line of the pin is asserted.
  public func isAsserted(_ pin: Int) -> Bool { pins[pin].isAsserted }

  /// Signals `trigger` for the pin from now on, and none before it; `nil` signals nobody.
  ///
  /// A pin that is up signals the new one at once, since the peer has not heard of it there. The mask of
  /// an interrupt that the old one was signalled for is gone. A signal that another thread has begun may still reach the old
  /// eventfd; what it says of the level is no more than that it was up.
  public func setTrigger(_ trigger: EventFD?, of pin: Int) { pins[pin].setTrigger(trigger) }

  /// Takes signals of `resample` as ends of the pin's interrupts from now on, and of none before it.
  ///
  /// The eventfd has to be one that can be drained: see ``ReceivedEventFD``.
  ///
  /// - Throws: `SystemError` if the host cannot wait for one more; then there is none.
  public func setResample(_ resample: EventFD?, of pin: Int) throws(SystemError) {
    try pins[pin].setResample(resample, on: loop.withLock { $0 })
  }

  /// Replaces both eventfds of a pin.
  ///
  /// - Throws: As ``setResample(_:of:)``; then the pin has neither.
  public func connect(_ pin: Int, trigger: EventFD, resample: EventFD) throws(SystemError) {
    disconnect(pin)
    try setResample(resample, of: pin)
    setTrigger(trigger, of: pin)
  }

  /// Takes both eventfds of a pin away; its lines keep their levels.
  public func disconnect(_ pin: Int) {
    pins[pin].disconnect(from: loop.withLock { $0 })
  }

  /// Silences a pin until ``unmask(_:)``, or the resample eventfd says so.
  public func mask(_ pin: Int) { pins[pin].mask() }

  /// Ends the silence of a pin, which signals its trigger if it is up.
  public func unmask(_ pin: Int) { pins[pin].resample() }

  /// Acts on the resample eventfds that have a count now, on the calling thread.
  package func turn() { loop.withLock { $0 }?.turn() }
}
