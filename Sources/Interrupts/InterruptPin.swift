public import DeviceModel
import Synchronization

/// What drives the pins of an interrupt controller: KVM's chips, a model's, or a test's fake.
public protocol PinController: AnyObject, Sendable {
  /// Sets the level of a pin; called in order for each pin, with that pin's lock held.
  func setLevel(of pin: GSI, asserted: Bool)
}

/// One pin of an interrupt controller, shared by any number of sources.
///
/// The pin's level is the OR of its sources. Any thread may assert or de-assert a source; the
/// controller sees each change of the pin's level once, in order. A source that is released while
/// asserted is de-asserted first, so that it cannot leave the pin stuck.
public final class InterruptPin: Sendable {
  /// The pin's number.
  public let gsi: GSI

  private let controller: any PinController
  // The lock is held over the controller's call: a raise and a fall that overtook one another
  // would leave the pin at the wrong level for good. Lock order: a device's before the pin's.
  private let asserted = Mutex(0)

  /// Makes a pin with no sources, whose level goes to `controller`.
  public init(_ gsi: GSI, on controller: any PinController) {
    self.gsi = gsi
    self.controller = controller
  }

  /// Adds a source, de-asserted.
  public func makeSource() -> some InterruptLine { Source(self) }

  private func change(by step: Int) {
    asserted.withLock { asserted in
      let before = asserted > 0
      asserted += step
      if before != (asserted > 0) { controller.setLevel(of: gsi, asserted: asserted > 0) }
    }
  }

  private final class Source: InterruptLine {
    private let pin: InterruptPin
    // Lock order: a source's before its pin's.
    private let isAsserted = Mutex(false)

    init(_ pin: InterruptPin) { self.pin = pin }

    deinit { set(false) }

    func assert() { set(true) }
    func deassert() { set(false) }

    private func set(_ level: Bool) {
      isAsserted.withLock { isAsserted in
        guard isAsserted != level else { return }
        isAsserted = level
        pin.change(by: level ? 1 : -1)
      }
    }
  }
}
