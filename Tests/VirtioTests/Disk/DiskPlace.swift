import Glibc
import TestSupport
import Testing

/// Where a test's disk is: kinds of file systems do host I/O in different ways.
enum DiskPlace: String, CaseIterable, CustomTestStringConvertible {
  /// tmpfs.
  case memory = "/dev/shm"
  /// The file system of temporary files.
  case disk = "/var/tmp"

  var testDescription: String { rawValue }

  func makeFolder() throws -> TemporaryFolder { try TemporaryFolder(in: rawValue) }
}
