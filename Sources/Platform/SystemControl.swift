/// Where platform devices send the guest's requests about the machine as a whole.
///
/// Called on the vCPU's own thread, in the middle of its access, with no device lock held. The
/// machine takes note and returns; the vCPU may run on for a while.
public protocol SystemControl: AnyObject, Sendable {
  /// Takes note of what the guest asked for.
  func request(_ event: SystemEvent)
}
