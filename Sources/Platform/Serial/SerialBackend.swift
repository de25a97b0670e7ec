/// The far end of a serial port's transmit wire.
public protocol SerialBackend: AnyObject, Sendable {
  /// Takes the next byte of the wire.
  ///
  /// Called in order on vCPU threads, under the port's lock: it neither blocks nor calls the port.
  ///
  /// - Returns: False if there is no room; the port then keeps the byte and holds the guest back
  ///   until the action of ``whenReady(_:)`` is called.
  func transmit(_ byte: UInt8) -> Bool
  /// Sets what to call, with no lock held, once there is room again after a refusal.
  func whenReady(_ action: @escaping @Sendable () -> Void)
}
