public import HostOS

/// Where the connections to whoever serves a device come from: a path, or a process that is kept running.
///
/// Asked by the device's own thread; ``place`` and ``failure`` by any.
public protocol ConnectionSource: AnyObject, Sendable {
  /// Where requests wait for another, in messages.
  var place: String { get }
  /// Readable when a look is worth while; `nil` where one has to look now and then.
  var ready: Int32? { get }
  /// Why nobody will ever serve the device again, if that is so.
  var failure: String? { get }

  /// Connects to who serves the device now; non-blocking. `nil` if nobody does.
  ///
  /// - Throws: `SystemError` if the host fails, or says why nobody can be reached.
  func connect() throws(SystemError) -> OwnedFileDescriptor?
  /// Says that who was connected to last has taken over.
  func settle()
  /// Says that who was connected to last has closed the connection.
  func abandon()
  /// Says that who was connected to last is of no use, though it may still be there.
  func reject(_ reason: String)
}

/// A path where somebody listens, whom we neither start nor end.
final class ListeningPath: ConnectionSource {
  let place: String

  init(_ path: String) { place = path }

  var ready: Int32? { nil }
  var failure: String? { nil }

  func connect() throws(SystemError) -> OwnedFileDescriptor? {
    try UnixSocket.connect(to: place)
  }

  func settle() {}
  func abandon() {}
  func reject(_ reason: String) {}
}
