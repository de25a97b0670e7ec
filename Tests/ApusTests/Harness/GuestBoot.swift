import Glibc
import Testing
import TestSupport

/// A boot of Debian's kernel with the test guest's initrd, in an emulated host unless told otherwise.
struct GuestBoot: Sendable {
  /// Debian's kernel, as one of the files that it comes in.
  enum Kernel: String, Sendable, CaseIterable {
    case bzImage = "APUS_TEST_KERNEL_BZIMAGE"
    case pvh = "APUS_TEST_KERNEL_PVH"
  }

  var kernel = Kernel.pvh
  var cpus = 1
  var memory = "256M"
  var disks: [String] = []
  /// More of the kernel's command line: what the guest is to do.
  var tasks = ""
  var options: [String] = []
  var accelerator = "emulated"

  /// All that stands after `apus`.
  func arguments() throws -> [String] {
    // `quiet`: each line of the kernel's costs time on the serial port.
    let append = "console=ttyS0 panic=-1 quiet \(tasks)"
    // Processes of their own are started slowly in an emulated host: where devices have them, a test says so.
    let isolation = options.contains("--isolate") ? [] : ["--isolate", "none"]
    return [
      "run", try Given.path(kernel.rawValue), "--initrd", try Given.path("APUS_TEST_INITRD"),
      "--cpus", "\(cpus)", "--memory", memory, "--append", append, "--accel", accelerator,
    ] + disks.flatMap { ["--disk", $0] } + isolation + options
  }

  /// Runs the guest to its end.
  func run(folder: String? = nil) async throws -> Ended {
    try await Program.run(try arguments(), folder: folder)
  }

  /// Copies the guest's root disk, so that it may be written.
  static func copyDisk(to path: String) async throws -> String {
    let source = try Given.path("APUS_TEST_DISK")
    let copied = try await Program.onThread {
      try RunningProgram("/bin/cp", ["--sparse=always", source, path]).finish()
    }
    try #require(copied.code == 0, "\(copied)")
    return path
  }
}
