import Testing
import TestSupport

/// What `apus` says about a machine and about itself, with nothing run.
@Suite(.needsGuests) struct DescriptionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func aDryRunNamesMemoryDevicesAddressesAndInterrupts() async throws {
    let disk = try folder.file("disk.img", [UInt8](repeating: 0, count: 4096))

    let text = try await describe(["--memory", "4G", "--cpus", "4", "--disk", disk])

    #expect(text.contains("4 vCPU, 4G of RAM"), "\(text)")
    #expect(text.contains("multiboot"), "\(text)")
    #expect(text.contains("000100000000-00013fffffff RAM"), "\(text)")
    #expect(text.contains("03f8-03ff serial port"), "\(text)")
    #expect(text.contains("1af4:1042 disk0"), "\(text)")
    #expect(text.contains("BAR 0: "), "\(text)")
    #expect(text.contains("MSI-X: 2 vectors"), "\(text)")
    #expect(text.contains(": serial port\n"), "\(text)")
    #expect(text.contains(": disk0\n"), "\(text)")
  }

  @Test func aDryRunShowsMemoryMappedDevicesAtTheirAddresses() async throws {
    let text = try await describe(["--transport", "mmio", "--test-device", "--debug-exit"])

    #expect(text.contains(" rng0\n"), "\(text)")
    #expect(text.contains("00f4-00f7 debug exit"), "\(text)")
    #expect(text.contains("00e0-00ef test device"), "\(text)")
    #expect(text.contains("0510-0511 firmware configuration"), "\(text)")
    #expect(!text.contains("1af4:"), "no virtio function is on the PCI bus: \(text)")
  }

  @Test(
    arguments: [
      ([], true, false), (["--irqchip", "kernel"], false, false),
      (["--irqchip", "split"], true, false), (["--irqchip", "user"], true, true),
    ]
  )
  func aDryRunSaysWhoHasTheInterruptControllers(
    options: [String],
    hasIOAPIC: Bool,
    hasLocalAPICs: Bool
  ) async throws {
    let text = try await describe(options)

    #expect(text.contains("I/O APIC (KVM)\n") == !hasIOAPIC, "\(text)")
    #expect(text.contains("local APICs (KVM)\n") == !hasLocalAPICs, "\(text)")
    for ports in ["0020-0021 8259s", "0040-0043 interval timer", "04d0-04d1 8259s"] {
      #expect(text.contains("  \(ports)\n") == hasIOAPIC, "\(text)")
      #expect(text.contains("  \(ports) (KVM)\n") == !hasIOAPIC, "\(text)")
    }
  }

  @Test(.enabled(if: Given.canMount, "no mount namespace can be made here"))
  func aDryRunNeedsNoKVM() async throws {
    let ended = try await Program.runWithMounts(
      "mount -t tmpfs none /dev",
      ["run", try Given.multiboot(), "--accel", "kvm", "--dry-run"]
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.output.contains("machine: 1 vCPU"), "\(ended)")
  }

  @Test func helpNamesEveryOptionExampleAndExitCode() async throws {
    let ended = try await Program.run(["run", "--help"], boots: false)

    #expect(ended.code == 0)
    #expect(ended.errors == "")
    let wanted = [
      "--initrd", "--append", "--boot", "--cpus", "--memory", "--hugepages", "--disk",
      "--net", "--vsock", "--device", "--balloon", "--transport", "--packed-rings",
      "--queue-threads",
      "--queue-polling",
      "--serial",
      "--console", "--port", "--entropy", "--entropy-rate", "--on-reset",
      "--accel", "--irqchip",
      "--dump-interrupts", "--save-interrupts", "SIGUSR1", "--debug-exit", "--test-device",
      "--dry-run", "--log-level",
      "Ctrl-A x", "Ctrl-A h", "EXAMPLES",
      "apus run vmlinuz", "EXIT CODES", "SIGTERM",
    ]
    #expect(wanted.filter { !ended.output.contains($0) } == [])
    let codes = ["0 ", "2 ", "4 ", "6 ", "8 ", "10 ", "12 "]
    let lines = ended.lines.map { $0.drop { $0 == " " } }
    #expect(codes.filter { code in !lines.contains { $0.hasPrefix(code) } } == [])
    #expect(ended.lines.allSatisfy { $0.count <= 80 }, "it fits a terminal")
  }

  @Test func theVersionIsOneLine() async throws {
    let ended = try await Program.run(["--version"], boots: false)

    #expect(ended.code == 0)
    #expect(ended.lines.count == 1)
  }

  private func describe(_ options: [String]) async throws -> String {
    let ended = try await Program.run(
      ["run", try Given.multiboot(), "--dry-run"] + options,
      boots: false,
      within: 30
    )
    try #require(ended.code == 0, "\(ended)")
    #expect(ended.errors == "", "\(ended)")
    return ended.output
  }
}
