public import DeviceModel
import Synchronization

/// A function's INTx pin: its request, gated by what the guest configured (PCI 3.0, 6.2.2 to 6.2.4).
///
/// The device asserts and de-asserts it from any thread and need not know whether the pin is
/// disabled: interrupt status in the configuration space follows the request, and the line follows
/// it too while interrupt disable is clear and MSI-X is off.
public final class PCIInterruptPin: InterruptLine {
  /// Which of the device's four pins; functions of one device may share one.
  public enum Pin: UInt8, Sendable, CaseIterable {
    /// INTA#.
    case a = 1
    /// INTB#.
    case b
    /// INTC#.
    case c
    /// INTD#.
    case d
  }

  private struct State {
    var isRequested = false
    var isDriven = false
  }

  private let line: any InterruptLine
  private let configuration: PCIConfigurationSpace
  // Held over the calls of the line: a rise and a fall that overtook one another would leave it at
  // the wrong level for good. Lock order: the pin's before the configuration's and the line's.
  private let state = Mutex(State())

  /// Gives a function the pin `pin`, wired to `line`.
  public init(_ pin: Pin = .a, to line: any InterruptLine, of configuration: PCIConfigurationSpace)
  {
    self.line = line
    self.configuration = configuration
    configuration.define(0x3D, width: 1, UInt32(pin.rawValue))
  }

  /// Requests an interrupt, until ``deassert()``.
  public func assert() { set(true) }

  /// Withdraws the request.
  public func deassert() { set(false) }

  private func set(_ isRequested: Bool) {
    state.withLock { state in
      guard state.isRequested != isRequested else { return }
      state.isRequested = isRequested
      drive(&state)
    }
  }

  /// Lets the line follow a change of the configuration.
  func update() {
    state.withLock { drive(&$0) }
  }

  private func drive(_ state: inout State) {
    let isDriven = configuration.setInterruptStatus(state.isRequested)
    guard isDriven != state.isDriven else { return }
    state.isDriven = isDriven
    if isDriven { line.assert() } else { line.deassert() }
  }
}
