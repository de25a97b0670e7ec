/// A function that can be stopped, and whose state another one can go on from.
///
/// One thread calls, and no vCPU or peer uses the function while it is paused, but for its configuration registers.
public protocol SavedPCIFunction: PCIFunction {
  /// Stops the function where it stands: at return it touches no memory of the guest's, and what it had taken is done
  /// or in its state.
  func pause()

  /// The whole state, configuration registers included, in a form of the function's own; the function is paused.
  ///
  /// - Throws: ``PCIStateError`` if it cannot be had; the function stays paused.
  func saveState() throws(PCIStateError) -> [UInt8]

  /// Goes on, once it is resumed, as the function that `state` is from; it is paused, and was just made or reset.
  ///
  /// The bytes may be anybody's. BARs do not move by themselves: see ``PCIRootBus/followConfiguration(at:)``.
  ///
  /// - Throws: ``PCIStateError`` if that is no state of a function like this, which is to be reset then.
  func restoreState(_ state: [UInt8]) throws(PCIStateError)

  /// Goes on after ``pause()``, or after ``restoreState(_:)``.
  func resume()

  /// Tells the driver once more what it may have been told right before the state was saved.
  ///
  /// For a function that goes on from a state, after ``resume()``.
  func signalRestart()
}

/// Why a function's state cannot be had, or is not taken; a part of a line.
public struct PCIStateError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public let description: String

  /// Says what is wrong.
  public init(_ description: String) { self.description = description }
}
