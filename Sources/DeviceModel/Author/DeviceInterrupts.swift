/// How a device asks for its driver's attention, whatever kind of interrupt the driver has chosen.
///
/// Any thread may call, with a lock of the device's held: nothing of the device's is called from here. So the
/// level can follow the state that it stands for under the same lock, and never be left behind.
public protocol DeviceInterrupts: AnyObject, Sendable {
  /// Whether the driver has enabled message-signalled interrupts.
  var usesMessages: Bool { get }

  /// Asks for attention: sends the message of `vector`, or raises the INTx pin until ``withdraw()``.
  ///
  /// Each call sends a message; a pin that is raised stays so. A vector that the device does not have sends nothing.
  func request(_ vector: Int)

  /// Lowers the INTx pin: nothing needs attention any more. Messages that were sent are sent.
  func withdraw()
}

extension DeviceInterrupts {
  /// Asks for attention by the first vector, or the pin.
  public func request() { request(0) }
}
