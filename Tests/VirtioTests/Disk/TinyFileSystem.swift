import Glibc
import TestSupport

/// A tmpfs of 256 KiB, for tests that run as root.
final class TinyFileSystem {
  /// It could not be mounted.
  struct Missing: Error { let reason: String }

  /// Whether it can be mounted.
  static let isThere = (try? TinyFileSystem(at: "/tmp/apus-tiny-\(getpid())")) != nil

  private let path: String

  /// Mounts it at `path`, which is made.
  init(at path: String) throws {
    self.path = path
    let result = shell("mkdir '\(path)' && mount -t tmpfs -o size=256k apus-test '\(path)' 2>&1")
    guard result.code == 0 else {
      rmdir(path)
      throw Missing(reason: result.output)
    }
  }

  deinit {
    _ = shell("umount --lazy '\(path)'")
    rmdir(path)
  }
}
