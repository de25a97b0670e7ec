public import DeviceModel

/// Takes interrupt messages to processors: this process's local APICs, or KVM's.
public protocol MessageTarget: AnyObject, Sendable {
  /// Delivers `message` (SDM volume 3A, 11.11); any thread, with no lock of a controller held.
  @discardableResult
  func deliver(_ message: InterruptMessage) -> InterruptDelivery
}
