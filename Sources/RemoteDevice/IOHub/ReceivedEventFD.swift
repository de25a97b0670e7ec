public import HostOS

/// What a descriptor from a peer has to be to serve as an eventfd.
public enum ReceivedEventFD {
  /// What it is for.
  public enum Use: Sendable {
    /// To be signalled here.
    case trigger
    /// To be signalled by the peer, and waited for here.
    case resample
  }

  /// Takes over a descriptor that a peer has sent to be signalled, or waited for.
  ///
  /// A count that a resample eventfd holds is taken. That of a trigger is for the peer, who may send the same one
  /// again and again. What is no eventfd and yet behaves as one, such as a timer, does no harm.
  ///
  /// - Returns: The eventfd, or `nil` if it is something else, which is closed.
  /// - Throws: `SystemError` if that cannot be found out.
  public static func adopt(
    _ descriptor: consuming OwnedFileDescriptor,
    as use: Use
  ) throws(SystemError) -> EventFD? {
    guard try DescriptorKind(of: descriptor.rawValue) == .anonymous else { return nil }
    let event = EventFD(adopting: descriptor)
    guard let count = event.takeCount() else { return nil }
    // Only a reader finds out what it is: what it has taken is given back.
    if use == .trigger, count > 0 { event.signal() }
    return event
  }
}
