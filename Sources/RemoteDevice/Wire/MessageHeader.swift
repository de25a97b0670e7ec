import HostOS

/// What each message of a protocol begins with, in so many bytes, and from which its length is known.
protocol MessageHeader: Sendable {
  /// Why a connection of the protocol is of no use any more.
  associatedtype Failure: ConnectionFailure

  /// The length in bytes.
  static var count: Int { get }
  /// The longest message that may come as long as nothing else is agreed on, the header included.
  static var sizeLimit: Int { get }

  /// Takes a header apart.
  ///
  /// - Parameters:
  ///   - bytes: As many as ``count``.
  ///   - limit: The longest message that may come, this header included.
  /// - Throws: What no message can begin with.
  init(parsing bytes: [UInt8], limit: Int) throws(Failure)

  /// How many bytes follow; no more than the limit leaves.
  var payloadCount: Int { get }
}

/// What can go wrong on a connection, whatever the protocol.
protocol ConnectionFailure: Error {
  /// A message came with more descriptors than are taken.
  static func tooManyDescriptors(limit: Int) -> Self
  /// The connection ended after so many bytes of a message.
  static func cutShort(_ count: Int) -> Self
  /// The host has failed.
  static func host(_ error: SystemError) -> Self
  /// Nobody is at the other end any more, while something was sent.
  static var gone: Self { get }
}
