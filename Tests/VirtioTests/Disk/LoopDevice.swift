import Glibc
import TestSupport

/// A block device over a file, for tests that run as root on a host that has them.
final class LoopDevice {
  /// The loop devices of a host could not be used.
  struct Missing: Error { let reason: String }

  /// Whether they can be: the first free one is there.
  static let isThere = geteuid() == 0 && shell("losetup --find >/dev/null 2>&1").code == 0

  let path: String

  /// Makes a device over the file at `file`, in blocks of `blockSize` bytes.
  init(_ file: String, blockSize: Int = 512) throws {
    let result = shell("losetup --find --show --sector-size \(blockSize) '\(file)' 2>&1")
    guard result.code == 0 else { throw Missing(reason: result.output) }
    path = result.output
  }

  /// Takes over the size that the file has by now.
  func measure() { _ = shell("losetup --set-capacity \(path)") }

  deinit { _ = shell("losetup --detach \(path)") }
}
