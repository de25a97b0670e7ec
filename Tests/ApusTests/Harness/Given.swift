import Glibc
import Testing

@testable import apus

/// What `scripts/test` names by environment variables, and what the machine offers.
enum Given {
  /// Something that a test needs is not there.
  struct Missing: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) is not set" }
  }

  static func variable(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
  }

  static func path(_ name: String) throws -> String {
    guard let path = variable(name) else { throw Missing(name: name) }
    return path
  }

  /// The release build of the program.
  static func binary() throws -> String { try path("APUS_TEST_BINARY") }
  /// The Multiboot test program.
  static func multiboot() throws -> String { try path("APUS_TEST_GUESTS") + "/multiboot.elf" }
  /// The Multiboot program that tests the interrupt controllers.
  static func interrupts() throws -> String { try path("APUS_TEST_GUESTS") + "/interrupts.elf" }

  /// The Multiboot program that is saved and restored.
  static func saving() throws -> String { try path("APUS_TEST_GUESTS") + "/saving.elf" }

  static func has(_ names: String...) -> Bool { names.allSatisfy { variable($0) != nil } }

  /// Whether the processor has vmx or svm, so that `--accel auto` is `kvm`.
  static var hasHardwareVirtualization: Bool {
    Accelerator.hasHardwareVirtualization(cpuinfo: Accelerator.cpuinfo())
  }

  static var hasKVM: Bool { access("/dev/kvm", R_OK | W_OK) == 0 }
}

extension Trait where Self == ConditionTrait {
  /// For tests of the program that boot nothing.
  static var needsBinary: Self {
    .enabled(if: Given.has("APUS_TEST_BINARY"), "APUS_TEST_BINARY is not set: use make test")
  }

  /// For tests that boot Debian's kernel.
  static var needsDebian: Self {
    .enabled(
      if: Given.has(
        "APUS_TEST_BINARY",
        "APUS_TEST_KERNEL_BZIMAGE",
        "APUS_TEST_KERNEL_PVH",
        "APUS_TEST_INITRD",
        "APUS_TEST_DISK",
        "APUS_EMULATED_HOST"
      ),
      "the variables for the kernels and the guest are not set: use make test"
    )
  }

  /// For tests that boot the Multiboot programs in an emulated host.
  static var needsGuests: Self {
    .enabled(
      if: Given.has("APUS_TEST_BINARY", "APUS_TEST_GUESTS", "APUS_EMULATED_HOST"),
      "APUS_TEST_GUESTS and others are not set: use make test"
    )
  }

  /// For tests that run in an emulated host, other than by the program.
  static var needsEmulatedHost: Self {
    .enabled(
      if: Given.has("APUS_TEST_IN_EMULATED_HOST", "APUS_EMULATED_HOST"),
      "APUS_TEST_IN_EMULATED_HOST and others are not set: use make test"
    )
  }

  /// For tests that run on this machine's KVM.
  static var needsKVM: Self {
    .enabled(if: Given.hasKVM, "/dev/kvm cannot be opened")
  }
}
