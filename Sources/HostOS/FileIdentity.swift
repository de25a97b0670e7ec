import CLinux
import Glibc

/// Which file a descriptor stands for: two of one file are equal.
public struct FileIdentity: Hashable, Sendable {
  private let device: UInt64
  private let number: UInt64

  /// Looks at descriptor `number`.
  public init(of number: Int32) throws(SystemError) {
    var status = stat()
    _ = try retrying("fstat", "descriptor \(number)") { unsafe fstat(number, &status) }
    device = UInt64(status.st_dev)
    self.number = UInt64(status.st_ino)
  }
}
