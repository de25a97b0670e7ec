import HostOS

/// A descriptor that lists can hold.
final class KeptDescriptor: Sendable {
  private let descriptor: OwnedFileDescriptor

  /// Makes a descriptor of its own for the open file behind `number`.
  init(duplicating number: Int32) throws(SystemError) {
    descriptor = try OwnedFileDescriptor(duplicating: number)
  }

  /// Takes `descriptor` over.
  init(_ descriptor: consuming OwnedFileDescriptor) { self.descriptor = descriptor }

  /// The descriptor's number, valid while this object lives.
  var rawValue: Int32 { descriptor.rawValue }
}
