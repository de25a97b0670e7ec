import Machine
import TestSupport
import Testing

/// What `--dry-run` prints.
@Suite struct MachineDescriptionTests {
  /// The lines of the section `title`, without their indentation.
  static func section(_ title: String, of text: String) -> [String] {
    let lines = text.split(separator: "\n").drop { $0 != "\(title):" }.dropFirst()
    return lines.prefix { $0.hasPrefix("  ") }.map { String($0.dropFirst(2)) }
  }

  let folder: TemporaryFolder
  let configuration: MachineConfiguration

  init() throws {
    folder = try TemporaryFolder()
    let kernel = try folder.file("kernel", Images.elf64().bytes)
    let disk = try folder.file("disk", [UInt8](repeating: 0, count: 1024))
    var configuration = MachineConfiguration(kernel: kernel)
    configuration.disks = [.init(path: disk)]
    configuration.commandLine = "console=ttyS0"
    configuration.memory = 4 << 30
    configuration.processorCount = 3
    self.configuration = configuration
  }

  @Test func itBeginsWithTheMachineAndItsKernel() throws {
    let lines = try Machine.describe(configuration).split(separator: "\n")
    #expect(lines[0] == "machine: 3 vCPU, 4G of RAM")
    #expect(lines[1] == "kernel: \(configuration.kernel) (pvh)")
  }

  @Test func itListsMemoryByAddress() throws {
    let memory = Self.section("memory", of: try Machine.describe(configuration))
    #expect(memory.contains("000000000000-0000bfffffff RAM"))
    #expect(memory.contains("000100000000-00013fffffff RAM"))
    #expect(memory.contains("0000c0000000-0000dfffffff PCI window, 32-bit"))
    #expect(memory.contains("0000e0000000-0000e00fffff PCI configuration"))
    #expect(memory.contains("0000fec00000-0000fec00fff I/O APIC"))
    #expect(memory.contains("0000000e0000-0000000fffff   ACPI tables, RSDP at 0xe0000"))
    #expect(memory.contains { $0.hasSuffix("  kernel") })
    let starts = memory.map { $0.prefix(12) }
    #expect(starts == starts.sorted())
  }

  @Test func itListsPortsFunctionsAndInterrupts() throws {
    let text = try Machine.describe(configuration)

    #expect(Self.section("ports", of: text).contains("03f8-03ff serial port"))
    let functions = Self.section("PCI", of: text)
    #expect(functions.contains("00:01.0 1af4:1042 disk0"))
    #expect(functions.contains("00:02.0 1af4:1044 rng0"))
    #expect(functions.contains { $0.hasPrefix("  BAR 0: ") && $0.hasSuffix(" memory") })
    #expect(functions.contains("  MSI-X: 2 vectors"))
    let interrupts = Self.section("interrupts", of: text)
    #expect(
      interrupts == [
        "GSI 4: serial port", "GSI 8: real-time clock", "GSI 9: ACPI", "GSI 17: disk0",
        "GSI 18: rng0",
      ]
    )
  }

  @Test func memoryMappedDevicesAreListedWithMemory() throws {
    var configuration = configuration
    configuration.transport = .mmio
    configuration.serial = .none

    let text = try Machine.describe(configuration)

    #expect(Self.section("memory", of: text).contains("0000feb00000-0000feb001ff disk0"))
    #expect(!Self.section("PCI", of: text).contains { $0.contains("1af4") })
    #expect(!text.contains("serial port"))
  }

  @Test func whatIsWrongWithTheConfigurationIsThrown() {
    var configuration = configuration
    configuration.kernel = "/nonexistent/kernel"
    #expect { try Machine.describe(configuration) } throws: { Machine.isUserError($0) }
    configuration = self.configuration
    configuration.memory = 4096
    #expect { try Machine.describe(configuration) } throws: { Machine.isUserError($0) }
    configuration = self.configuration
    configuration.disks[0].address = 99
    #expect { try Machine.describe(configuration) } throws: { Machine.isUserError($0) }
  }
}
