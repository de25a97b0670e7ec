import HostOS

/// What a request that succeeded is answered with.
enum VhostUserAnswer {
  /// A zero, if the sender wants to know at all.
  case done
  /// A reply of the request's own.
  case reply([UInt8])
  /// The same with a descriptor.
  case replyWithFile([UInt8], File)

  /// A descriptor on its way into a reply.
  final class File {
    private var descriptor: OwnedFileDescriptor?

    init(_ descriptor: consuming OwnedFileDescriptor) {
      self.descriptor = consume descriptor
    }

    func take() -> OwnedFileDescriptor? { descriptor.take() }
  }
}
