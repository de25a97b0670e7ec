/// The place of a VM's one floating interrupt controller.
///
/// Any thread may call.
public final class FLICSlot: Sendable {
  private let current = PlaneLock<FloatingInterruptController?>(nil)

  /// Makes an empty slot.
  public init() {}

  /// The VM's controller, if it has one.
  public var controller: FloatingInterruptController? { current.withLock { $0 } }

  /// Makes the VM's controller.
  ///
  /// - Throws: ``FLICError/exists`` if there is one.
  public func create(
    _ configuration: FLICConfiguration = FLICConfiguration()
  ) throws(FLICError) -> FloatingInterruptController {
    try current.withLock { (current) throws(FLICError) -> FloatingInterruptController in
      guard current == nil else { throw .exists }
      let controller = FloatingInterruptController(configuration)
      current = controller
      return controller
    }
  }

  /// Destroys the controller, if there is one; another may be made then.
  ///
  /// What was pending is gone. Whoever still has the object is answered ``FLICError/destroyed``.
  public func destroy() {
    let controller = current.withLock { current in
      let controller = current
      current = nil
      return controller
    }
    controller?.retire()
  }
}
