/// How a transport tells the driver that something happened: through MSI-X, or an ISR and a line.
///
/// The transport implements it in an object apart from itself, so that a device which holds on to it
/// does not keep the transport alive. Signals come from the device's threads, several at once, and
/// while a vCPU's thread waits in a reset: an implementation takes no lock that its transport holds
/// while it calls the ``VirtioDeviceController``.
public protocol VirtioInterrupts: AnyObject, Sendable {
  /// Buffers of queue `index` were used, and the driver wants to know.
  func signalQueue(_ index: Int)
  /// The configuration or the device status changed.
  func signalConfigurationChange()
  /// Forgets what is pending and which vectors were chosen; the device no longer signals.
  func reset()
}
