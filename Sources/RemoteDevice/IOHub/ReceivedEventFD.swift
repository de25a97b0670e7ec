public import HostOS

/// What a descriptor from a peer has to be to serve as an eventfd.
public enum ReceivedEventFD {
  /// Takes over a descriptor that a peer has sent to be signalled, or waited for.
  ///
  /// A count that it holds is taken. What is no eventfd and yet behaves as one, such as a
  /// timer, does no harm.
  ///
  /// - Returns: The eventfd, or `nil` if it is something else, which is closed.
  /// - Throws: `SystemError` if that cannot be found out.
  public static func adopt(
    _ descriptor: consuming OwnedFileDescriptor
  ) throws(SystemError) -> EventFD? {
    guard try DescriptorKind(of: descriptor.rawValue) == .anonymous else { return nil }
    let event = EventFD(adopting: descriptor)
    return event.canBeDrained ? event : nil
  }
}
