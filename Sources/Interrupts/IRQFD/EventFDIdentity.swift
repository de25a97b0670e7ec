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
    guard descriptor >= 0, fcntl(descriptor, F_GETFD) >= 0 else {
      throw .badDescriptor(descriptor)
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
    else { throw .invalid("descriptor \(descriptor) is no eventfd; give one of eventfd(2)") }
    self.number = number
  }
}
