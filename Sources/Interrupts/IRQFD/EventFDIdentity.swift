import Glibc
import HostOS

/// Which eventfd a descriptor stands for: two descriptors of one eventfd have the same.
///
/// The kernel numbers eventfds and shows the number in `/proc/self/fdinfo` (proc(5), `eventfd-id`).
struct EventFDIdentity: Hashable, Sendable {
  private let number: UInt64

  /// Finds the eventfd behind a descriptor of this process.
  ///
  /// - Throws: ``InterruptError/badDescriptor(_:)`` for one that is closed, ``InterruptError/invalid(_:)``
  ///   for one that is no eventfd.
  init(of descriptor: Int32) throws(InterruptError) {
    try self.init(of: descriptor, called: descriptor)
  }

  // `name` is what the caller calls the descriptor.
  private init(of descriptor: Int32, called name: Int32) throws(InterruptError) {
    guard descriptor >= 0, fcntl(descriptor, F_GETFD) >= 0 else {
      throw .badDescriptor(name)
    }
    let text: String
    do throws(SystemError) {
      let file = try OwnedFileDescriptor(opening: "/proc/self/fdinfo/\(descriptor)", O_RDONLY)
      var bytes = [UInt8](repeating: 0, count: 1024)
      let number = file.rawValue
      let count = try retrying("read", "/proc/self/fdinfo/\(descriptor)") {
        // SAFETY: the buffer has as many bytes as the call is told.
        unsafe bytes.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
      }
      text = String(decoding: bytes.prefix(count), as: UTF8.self)
    } catch {
      throw .system(error)
    }
    let line = text.split(separator: "\n").first { $0.hasPrefix("eventfd-id:") }
    guard let value = line?.dropFirst("eventfd-id:".count).drop(while: \.isWhitespace),
      let number = UInt64(value)
    else { throw .invalid("descriptor \(name) is no eventfd; give one of eventfd(2)") }
    self.number = number
  }

  /// Makes a descriptor of our own for the eventfd behind one of the caller's, and finds which eventfd it is.
  ///
  /// - Throws: As ``init(of:)``.
  static func duplicate(
    _ descriptor: Int32
  ) throws(InterruptError) -> (EventFD, EventFDIdentity) {
    let own: OwnedFileDescriptor
    do throws(SystemError) {
      own = try OwnedFileDescriptor(duplicating: descriptor)
    } catch {
      throw error.code == EBADF ? .badDescriptor(descriptor) : .system(error)
    }
    // Of the duplicate: the caller's number may be another file's by now.
    let identity = try Self(of: own.rawValue, called: descriptor)
    return (EventFD(adopting: own), identity)
  }
}
