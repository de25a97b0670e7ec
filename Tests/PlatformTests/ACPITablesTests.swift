import Glibc
import GuestMemory
import Platform
import Testing

@Suite(.timeLimit(.minutes(5))) struct ACPITablesTests {
  /// A machine, and what to call it in a report.
  struct Machine: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var configuration: ACPIConfiguration

    init(_ name: String, _ change: (inout ACPIConfiguration) -> Void = { _ in }) {
      testDescription = name
      configuration = ACPIConfiguration(
        processors: [0, 1, 2, 3],
        ioAPIC: 4,
        lowWindow: GuestAddress(0xC000_0000)..<GuestAddress(0xE000_0000),
        highWindow: GuestAddress(0x80_0000_0000)..<GuestAddress(0x100_0000_0000),
        configurationSpace: GuestAddress(0xE000_0000)
      )
      change(&configuration)
    }
  }

  private static let machines: [Machine] = [
    Machine("ordinary"),
    Machine("smallest") {
      $0.processors = [0]
      $0.highWindow = nil
      $0.busCount = 1
      $0.hasSerialPort = false
      $0.hasRealTimeClock = false
    },
    Machine("largest") {
      $0.processors = (0..<64).map { $0 * 16 }
      $0.hasKeyboardController = true
      $0.configurationSpace = GuestAddress(0x40_0000_0000)
      $0.virtioMMIO = (0..<32).map {
        .init(
          address: GuestAddress(0xD000_0000 + $0 * 0x1000),
          count: 0x200,
          interrupt: 5 + UInt32($0 % 19)
        )
      }
      $0.virtioMMIO.append(
        .init(address: GuestAddress(0x7F_0000_0000), count: 0x1000, interrupt: 23)
      )
    },
  ]

  private static let place = GuestAddress(0xE_0000)
  private let tables = ACPITables(of: machines[0].configuration, at: place)

  private func table(_ signature: String, of tables: ACPITables? = nil) throws -> [UInt8] {
    let tables = tables ?? self.tables
    let table = try #require(tables.tables.first { $0.signature == signature })
    return Array(tables.bytes[table.range])
  }

  private func number(_ bytes: [UInt8], at offset: Int, count: Int) -> UInt64 {
    bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private func sum(_ bytes: some Sequence<UInt8>) -> UInt8 { bytes.reduce(0, &+) }

  // MARK: Structure

  @Test(arguments: machines)
  func everyTableHasItsLengthAndChecksum(machine: Machine) throws {
    let tables = ACPITables(of: machine.configuration, at: Self.place)

    for entry in tables.tables where !["RSDP", "FACS"].contains(entry.signature) {
      let bytes = try table(entry.signature, of: tables)
      #expect(bytes.prefix(4).elementsEqual(entry.signature.utf8))
      #expect(number(bytes, at: 4, count: 4) == UInt64(bytes.count))
      #expect(sum(bytes) == 0)
    }
  }

  @Test(arguments: machines)
  func theTablesFitWhereTheRootPointerIsSearched(machine: Machine) {
    let tables = ACPITables(of: machine.configuration, at: Self.place)

    #expect(tables.bytes.count < 0x1_0000)
  }

  @Test func theRootPointerIsFirstAndBothItsChecksumsAreRight() {
    #expect(tables.bytes.prefix(8).elementsEqual("RSD PTR ".utf8))
    #expect(tables.bytes[15] == 2)
    #expect(sum(tables.bytes[..<20]) == 0)
    #expect(sum(tables.bytes[..<36]) == 0)
  }

  @Test func followingThePointersFindsEveryTable() throws {
    let root = number(tables.bytes, at: 24, count: 8)
    let start = Int(root - Self.place.rawValue)
    let count = (Int(number(tables.bytes, at: start + 4, count: 4)) - 36) / 8
    let found = (0..<count).map { index in
      let address = number(tables.bytes, at: start + 36 + 8 * index, count: 8)
      let offset = Int(address - Self.place.rawValue)
      return String(decoding: tables.bytes[offset..<offset + 4], as: UTF8.self)
    }

    #expect(found == ["FACP", "APIC", "MCFG"])
  }

  @Test func theFixedTablePointsToItsTwoTables() throws {
    let fixed = try table("FACP")
    let facs = try #require(tables.tables.first { $0.signature == "FACS" })
    let dsdt = try #require(tables.tables.first { $0.signature == "DSDT" })

    #expect(fixed.count == 276)
    #expect(number(fixed, at: 36, count: 4) == facs.address.rawValue)
    #expect(number(fixed, at: 40, count: 4) == dsdt.address.rawValue)
    #expect(number(fixed, at: 132, count: 8) == 0)
    #expect(number(fixed, at: 140, count: 8) == dsdt.address.rawValue)
    #expect(facs.address.rawValue % 64 == 0)
    #expect(facs.range.count == 64)
  }

  // MARK: Contents

  @Test func theFixedTableNamesTheRegistersOfTheDevices() throws {
    let fixed = try table("FACP")

    #expect(number(fixed, at: 46, count: 2) == 9)
    #expect(number(fixed, at: 56, count: 4) == 0x600)
    #expect(number(fixed, at: 64, count: 4) == 0x604)
    #expect(number(fixed, at: 76, count: 4) == 0x608)
    #expect(Array(fixed[88...91]) == [4, 2, 0, 4])
    #expect(Array(fixed[116..<129]) == [1, 8, 0, 1, 0xF9, 0x0C, 0, 0, 0, 0, 0, 0, 6])
    #expect(fixed[108] == 0x32)
  }

  @Test func thePowerButtonIsFixedAndThereIsAResetRegister() throws {
    let flags = number(try table("FACP"), at: 112, count: 4)

    #expect(flags & 1 << 4 == 0)
    #expect(flags & 1 << 10 != 0)
    #expect(flags & 1 << 20 == 0)
  }

  @Test(arguments: zip(machines, [UInt64(0x15), 0x34, 0x17]))
  func theBootFlagsSayWhichLegacyDevicesThereAre(machine: Machine, flags: UInt64) throws {
    let tables = ACPITables(of: machine.configuration, at: Self.place)

    #expect(number(try table("FACP", of: tables), at: 109, count: 2) == flags)
  }

  @Test func processorsAreListedInOrderAndByTheirNumbersKind() throws {
    let tables = ACPITables(
      of: Machine("") { $0.processors = [0, 254, 255, 4096] }.configuration,
      at: Self.place
    )
    let bytes = try table("APIC", of: tables)

    #expect(Array(bytes[44..<52]) == [0, 8, 0, 0, 1, 0, 0, 0])
    #expect(Array(bytes[52..<60]) == [0, 8, 1, 254, 1, 0, 0, 0])
    #expect(Array(bytes[60..<76]) == [9, 16, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])
    #expect(Array(bytes[76..<84]) == [9, 16, 0, 0, 0, 16, 0, 0])
  }

  @Test func theInterruptControllersAreDescribed() throws {
    let bytes = try table("APIC")

    let rest: [UInt8] = [
      1, 12, 4, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0,
      2, 10, 0, 0, 2, 0, 0, 0, 0, 0,
      2, 10, 0, 9, 9, 0, 0, 0, 0x0D, 0,
      4, 6, 0xFF, 0, 0, 1,
    ]
    #expect(Array(bytes[76...]) == rest)
  }

  @Test func configurationSpaceIsWhereItIsSaidToBe() throws {
    let bytes = try table("MCFG")

    #expect(bytes.count == 60)
    #expect(number(bytes, at: 44, count: 8) == 0xE000_0000)
    #expect(Array(bytes[52..<56]) == [0, 0, 0, 255])
  }

  @Test(arguments: [(0, 0, UInt32(16)), (0, 3, 19), (1, 0, 17), (5, 3, 16), (31, 3, 18)])
  func pinsAreSpreadOverEightInterrupts(slot: Int, pin: Int, interrupt: UInt32) {
    #expect(ACPIConfiguration.interrupt(ofSlot: slot, pin: pin) == interrupt)
  }

  // MARK: A compiler's opinion

  @Test(.enabled(if: hasCompiler, "iasl is not installed"), arguments: machines)
  func theCompilerReadsEveryTableWithoutComplaint(machine: Machine) throws {
    let tables = ACPITables(of: machine.configuration, at: Self.place)
    let folder = try Self.makeFolder()
    defer { Self.remove(folder) }

    for entry in tables.tables where entry.signature != "RSDP" {
      let name = "\(folder)/\(entry.signature.lowercased())"
      try Self.write(Array(tables.bytes[entry.range]), to: "\(name).dat")
      let output = Self.run("iasl -d \(name).dat")
      #expect(output.status == 0, "\(output.text)")
      let text = Self.run("cat \(name).dsl").text
      for complaint in ["Warning", "Error", "Invalid", "**", "Unknown"] {
        #expect(!output.text.contains(complaint), "\(entry.signature): \(output.text)")
        let isBanner = complaint == "**" || complaint == "Error"
        #expect(isBanner || !text.contains(complaint), "\(entry.signature): \(text)")
      }
    }
  }

  @Test(.enabled(if: hasCompiler, "iasl is not installed"), arguments: machines)
  func theDevicesCompileAgainToTheSameBytesWithoutAWarning(machine: Machine) throws {
    let tables = ACPITables(of: machine.configuration, at: Self.place)
    let folder = try Self.makeFolder()
    defer { Self.remove(folder) }
    let before = try table("DSDT", of: tables)
    try Self.write(before, to: "\(folder)/dsdt.dat")

    let output = Self.run("cd \(folder) && iasl -d dsdt.dat && iasl -p again dsdt.dsl")

    #expect(output.status == 0, "\(output.text)")
    #expect(output.text.contains("0 Errors, 0 Warnings"), "\(output.text)")
    #expect(Self.run("cmp -i 36 \(folder)/dsdt.dat \(folder)/again.aml").status == 0)
  }

  private static let hasCompiler = run("command -v iasl").status == 0

  private static func run(_ command: String) -> (status: Int32, text: String) {
    guard let stream = popen("( \(command) ) 2>&1", "r") else { return (-1, "popen failed") }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&buffer, 1, buffer.count, stream), count > 0 {
      bytes += buffer[..<count]
    }
    return (pclose(stream), String(decoding: bytes, as: UTF8.self))
  }

  private static func makeFolder() throws -> String {
    var template = Array("/tmp/apus-acpi-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func remove(_ folder: String) { _ = run("rm -r \(folder)") }

  private static func write(_ bytes: [UInt8], to path: String) throws {
    let file = try #require(fopen(path, "w"))
    defer { fclose(file) }
    try #require(fwrite(bytes, 1, bytes.count, file) == bytes.count)
  }
}
