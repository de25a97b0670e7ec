public import DeviceModel

/// One user's hold on a GSI, whose level is the OR of all of them.
///
/// Any thread may call. Letting go of it de-asserts it, so that it cannot leave the line stuck.
public final class InterruptSource: InterruptLine {
  private let router: InterruptRouter
  private let state: SourceState

  init(_ state: SourceState, of router: InterruptRouter) {
    self.router = router
    self.state = state
  }

  deinit { router.release(state) }

  /// The GSI that it is a source of.
  public var gsi: GSI { state.line.gsi }
  /// Whether it holds the line up.
  public var isAsserted: Bool { router.isAsserted(state) }

  /// Raises the line, until ``deassert()`` or, if ``bind(_:)`` says so, the end of the interrupt.
  public func assert() { router.set(state, true) }
  /// Lowers the line, as far as this source is concerned.
  public func deassert() { router.set(state, false) }

  /// Has the end of the interrupt de-assert the source and then call `notifier`, if it is asserted.
  ///
  /// - Parameter notifier: Called with no lock held, on the thread that ended the interrupt; it may
  ///   assert any source again. `nil` undoes the binding: a call that is under way may still come.
  /// - Throws: ``InterruptError/system(_:)`` if the kernel has to help and cannot.
  public func bind(_ notifier: (@Sendable () -> Void)?) throws(InterruptError) {
    try router.bind(state, notifier)
  }
}
