/// An input pin of an interrupt controller.
public enum ControllerPin: Hashable, Sendable {
  /// Pin 0 to 23 of the I/O APIC.
  case ioAPIC(Int)
  /// Pin 0 to 15 of the two 8259s; 8 to 15 are the second's.
  case pic(Int)
}

/// Is told when the guest has ended an interrupt of a pin.
public protocol PinAcknowledgement: AnyObject, Sendable {
  /// The guest has ended the interrupt of `pin`.
  ///
  /// Comes with no lock of the controller held, before the controller looks at the pin's level again:
  /// a source that is de-asserted in here does not interrupt once more.
  func acknowledged(_ pin: ControllerPin)
}
