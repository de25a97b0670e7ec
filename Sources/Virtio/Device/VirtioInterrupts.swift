public import HostOS

/// How a transport tells the driver that something happened: through MSI-X, or an ISR and a line.
///
/// The transport implements it in an object apart from itself, so that a device which holds on to it
/// does not keep the transport alive. Signals come from the device's threads, several at once, and
/// while a vCPU's thread waits in a reset: an implementation takes no lock that its transport holds
/// while it calls the ``VirtioDeviceController``.
public protocol VirtioInterrupts: AnyObject, Sendable {
  /// Buffers of queue `index` were used, and the driver wants to know.
  func signalQueue(_ index: Int)
  /// The eventfd that does the same, for another process to signal; `nil` if there is none at the time.
  func trigger(ofQueue index: Int) -> EventFD?
  /// Has `observer` called whenever ``trigger(ofQueue:)`` may have changed, on a vCPU's thread; or nobody
  /// any more. It must not wait.
  func observeTriggers(_ observer: (@Sendable () -> Void)?)
  /// The configuration or the device status changed.
  func signalConfigurationChange()
  /// Forgets what is pending and which vectors were chosen; the device no longer signals.
  func reset()
}

extension VirtioInterrupts {
  /// There is none.
  public func trigger(ofQueue index: Int) -> EventFD? { nil }
  /// There never is one.
  public func observeTriggers(_ observer: (@Sendable () -> Void)?) {}
}
