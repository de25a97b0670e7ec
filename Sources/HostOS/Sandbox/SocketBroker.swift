import Glibc
import Synchronization

/// The way on which a device inside asks its monitor to connect to a unix socket; one request at a time.
///
/// A request is a path, filled up with zeroes; the answer is one byte, an errno or 0, and with 0 the connected socket.
enum SocketBroker {
  /// The bytes of a request: more than any path of a socket has (unix(7)).
  static var requestSize: Int { 112 }
  // The monitor waits for nobody, so that only a stopped one takes as long.
  private static var patience: Int32 { 10_000 }

  private static let way = Mutex<OwnedFileDescriptor?>(nil)

  /// Has connections be asked for from now on; inside.
  static func install(_ descriptor: consuming OwnedFileDescriptor) {
    var new = Optional(descriptor)
    way.withLock { $0 = new.take() }
  }

  /// Asks for a connection.
  ///
  /// - Returns: It, non-blocking; `nil` where there is no monitor to ask.
  /// - Throws: ``SystemError``, `EACCES` for a path that the device has no use for.
  static func connect(to path: String) throws(SystemError) -> OwnedFileDescriptor? {
    try way.withLock { (way) throws(SystemError) in
      guard let number = way.borrow({ $0.rawValue }) else { return nil }
      do throws(SystemError) {
        return try ask(number, path)
      } catch {
        // What comes late would be taken for the answer to the next.
        if error.code == ETIMEDOUT { way = nil }
        throw error
      }
    }
  }

  private static func ask(
    _ number: Int32,
    _ path: String
  ) throws(SystemError) -> OwnedFileDescriptor {
    let bytes = Array(path.utf8)
    guard bytes.count < requestSize else {
      throw SystemError(call: "connect", code: ENAMETOOLONG, subject: path)
    }
    let request = bytes + [UInt8](repeating: 0, count: requestSize - bytes.count)
    guard try SocketIO.send(number, request[...]) == requestSize else {
      throw SystemError(call: "connect", code: ETIMEDOUT, subject: path)
    }
    var list = PollList()
    _ = list.add(number, for: .readable)
    list.wait(timeout: patience)
    var answer: [UInt8] = [0]
    var batch = DescriptorBatch()
    guard
      try SocketIO.receive(number, into: &answer, from: 0, count: 1, &batch) == .bytes(1)
    else {
      throw SystemError(call: "connect", code: ETIMEDOUT, subject: path)
    }
    guard answer[0] == 0, let socket = batch.takeFirst() else {
      throw SystemError(call: "connect", code: Int32(answer[0]), subject: path)
    }
    return socket
  }
}
