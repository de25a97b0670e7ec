/// A controller whose input pins are driven through ``PinLevels``.
public protocol InterruptController: AnyObject, Sendable {
  /// Looks at its pins again, since a level has changed; any thread, with no lock held.
  ///
  /// A pulse is seen if the thread that makes it calls between the rise and the fall.
  func refresh()
}
