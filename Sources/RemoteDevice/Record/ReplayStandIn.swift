import CLinux
import Glibc
import HostOS

/// What is sent in place of a descriptor that was recorded: something of the same kind, with nothing in it.
struct ReplayStandIn: ~Copyable {
  /// What is sent.
  let descriptor: OwnedFileDescriptor
  /// For a socket, our end of it.
  var other: OwnedFileDescriptor?

  /// Makes one; `nil` for what there is nothing to send in place of.
  static func make(_ recorded: RecordedDescriptor) throws(SystemError) -> ReplayStandIn? {
    switch recorded.kind {
    case .anonymous:
      let event = try EventFD()
      let copy = try OwnedFileDescriptor(duplicating: event.rawValue)
      withExtendedLifetime(event) {}
      return ReplayStandIn(descriptor: copy, other: nil)
    case .file:
      guard let count = Int(exactly: recorded.size) else { return nil }
      let number = try retrying("memfd_create") {
        // SAFETY: the name is a literal.
        unsafe apus_memfd_create("replay", UInt32(MFD_CLOEXEC))
      }
      let file = OwnedFileDescriptor(adopting: number)
      // No pages until somebody writes to them.
      _ = try retrying("ftruncate") { ftruncate(number, count) }
      return ReplayStandIn(descriptor: file, other: nil)
    case .socket:
      let pair = try SocketPair()
      let far = try pair.far.duplicated()
      return ReplayStandIn(descriptor: far, other: try pair.near.duplicated())
    case .other: return nil
    }
  }
}
