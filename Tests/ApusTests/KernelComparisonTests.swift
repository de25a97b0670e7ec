import Glibc
import HostOS
import Testing

/// What only a KVM that ends interrupts when the guest does can judge.
@Suite struct KernelComparisonTests {
  /// This test program, which runs there too.
  private static func testProgram() throws -> String {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &bytes, bytes.count)
    try #require(count > 0)
    return String(decoding: bytes.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  @Test(.needsEmulatedHost, arguments: ["ResampleComparisonTests", "InterruptTransferTests"])
  func interruptsAreAsKVMsOwnInAllModes(suite: String) async throws {
    let program = try Self.testProgram()
    let host = try Given.path("APUS_TEST_IN_EMULATED_HOST")
    let ended = try await BootSlots.shared.run {
      try await Program.onThread {
        try RunningProgram(
          host,
          [
            "-t", "200", "/usr/bin/env", "APUS_TEST_EXACT_KVM=1",
            // The one folder that may be written there.
            "TMPDIR=/run/out", program,
            "--testing-library", "swift-testing", "--no-parallel",
            "--filter", suite,
          ]
        ).finish(within: 240)
      }
    }
    #expect(ended.code == 0, "\(ended)")
    let output = ended.output + ended.errors
    #expect(output.contains("Suite \(suite) passed"), "\(ended)")
  }
}
