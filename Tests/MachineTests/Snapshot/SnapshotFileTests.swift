import HostOS
import Interrupts
import PCI
import Platform
import TestSupport
import Testing

@testable import Machine

/// The file of a saved machine, from whomever it comes.
@Suite(.timeLimit(.minutes(5))) struct SnapshotFileTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func snapshot() -> MachineSnapshot {
    var random = RandomState(seed: 5)
    var snapshot = MachineSnapshot()
    snapshot.summary.processorCount = 1
    snapshot.summary.memory = 64 << 20
    snapshot.interrupts = random.state()
    snapshot.interrupts.lines = Array(snapshot.interrupts.lines.prefix(2))
    snapshot.interrupts.processors = Array(snapshot.interrupts.processors.prefix(1))
    snapshot.platform.clock = 7
    snapshot.platform.serial = .init()
    snapshot.platform.serial?.received = [.init(byte: 1, errors: 2), .init(byte: 3)]
    snapshot.platform.serial?.transmitted = [9]
    snapshot.platform.realTimeClock.offset = -5
    snapshot.platform.test = .init()
    snapshot.platform.test?.lines = 5
    var processor = ProcessorState()
    processor.cpuid = [.init(function: 1, eax: 2)]
    processor.registers.rip = 0x1234
    processor.special.cs.isPresent = true
    processor.extended = [1, 2, 3]
    processor.extendedControl = [.init(index: 0, value: 7)]
    processor.events.exception.errorCode = 9
    processor.events.smi = .init()
    processor.msrs = [.init(index: 0x10, value: 99)]
    snapshot.processors = [processor]
    snapshot.summary.functions = [.init(slot: 0, vendorID: 1, deviceID: 2, name: "bridge")]
    var bridge = FunctionState(slot: 0)
    bridge.configuration = PCIConfigurationState(
      identity: 0x2_0001,
      words: [.init(index: 1, mask: 0xFF, value: 7)]
    )
    snapshot.summary.functions.append(.init(slot: 3, vendorID: 1, deviceID: 3, name: "remote"))
    var remote = FunctionState(slot: 3)
    remote.bytes = [1, 2, 3]
    snapshot.functions = [bridge, remote]
    return snapshot
  }

  private func file(_ snapshot: MachineSnapshot) throws -> [UInt8] {
    let path = folder.path(of: "file")
    try ReplacedFile.write(path) { number in
      var writer = try SnapshotWriter(to: number)
      try snapshot.write(to: &writer)
      try writer.write(.memory, number: 0, [0, 16, 0, 0, 0, 0, 0, 0, 1, 2, 3])
      try writer.finish()
    }
    return try folder.bytes(at: path)
  }

  private func read(_ bytes: [UInt8]) throws -> MachineSnapshot {
    let path = try folder.file("read", bytes)
    let reader = try SnapshotReader(ReplacedFile.open(path, 0))
    let snapshot = try MachineSnapshot(from: reader)
    _ = try reader.read(.memory, number: 0)
    try reader.finish()
    return snapshot
  }

  @Test func whatIsWrittenIsRead() throws {
    let snapshot = snapshot()
    #expect(try read(file(snapshot)) == snapshot)
  }

  @Test(arguments: [0, 1, 1 << 20, (2 << 20) + 5])
  func aFunctionsOwnStateMayBeLongerThanASection(count: Int) throws {
    var snapshot = snapshot()
    snapshot.functions[1].bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let bytes = try file(snapshot)
    #expect(try read(bytes) == snapshot)
    guard count > 1 << 20 else { return }
    #expect(throws: SnapshotError.self) { try read(Array(bytes.dropLast(1 << 20))) }
  }

  @Test func whatIsCutShortIsRefusedAtEachByte() throws {
    let bytes = try file(snapshot())
    for count in 0..<bytes.count {
      let error = #expect(throws: SnapshotError.self) { try read(Array(bytes.prefix(count))) }
      #expect(error?.description.contains("\n") == false, "\(count)")
    }
    #expect(throws: SnapshotError.tooLong(offset: UInt64(bytes.count), extra: 1)) {
      try read(bytes + [0])
    }
  }

  @Test func aBitThatIsAnotherIsRefused() throws {
    let bytes = try file(snapshot())
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1 << UInt8(index % 8)
      let error = #expect(throws: SnapshotError.self, "byte \(index)") { try read(changed) }
      #expect(error?.description.contains("\n") == false)
    }
  }

  /// With the checksum put right: what comes out is an error or a state, and nothing traps.
  @Test func aFieldThatIsAnotherIsRefusedOrAnotherState() throws {
    let snapshot = snapshot()
    var random = RandomState(seed: 11)
    var copy = snapshot
    let parts: [(SnapshotSection.Name, [UInt8])] = [
      (
        .machine,
        StateCoder.bytes { (coder) throws(InterruptStateError) in try copy.summary.code(&coder) }
      ),
      (
        .platform,
        StateCoder.bytes { (coder) throws(InterruptStateError) in try copy.platform.code(&coder) }
      ),
      (
        .processor,
        StateCoder.bytes { (coder) throws(InterruptStateError) in
          try copy.processors[0].code(&coder)
        }
      ),
    ]
    for (name, bytes) in parts {
      for index in bytes.indices {
        var changed = bytes
        changed[index] ^= random.number(1...255)
        let section = SnapshotSection(name: name, number: 0, bytes: changed)
        var (summary, platform) = (MachineSummary(), PlatformState())
        var processor = ProcessorState()
        do throws(SnapshotError) {
          try section.decode { (coder) throws(InterruptStateError) in
            switch name {
            case .machine: try summary.code(&coder)
            case .platform: try platform.code(&coder)
            default: try processor.code(&coder)
            }
          }
          let isSame =
            summary == snapshot.summary || platform == snapshot.platform
            || processor == snapshot.processors[0]
          #expect(!isSame, "\(name) byte \(index)")
        } catch {
          #expect(!error.description.contains("\n"))
        }
      }
    }
  }

  @Test func whatIsNoSavedMachineIsRefused() throws {
    #expect(throws: SnapshotError.unknownFormat) { try read([]) }
    #expect(throws: SnapshotError.unknownFormat) { try read(Array(repeating: 0x41, count: 4096)) }
    var bytes = try file(snapshot())
    bytes[8] = 2
    #expect(throws: SnapshotError.version(2)) { try read(bytes) }
    #expect(throws: SnapshotError.notAFile) {
      try SnapshotReader(ReplacedFile.open("/dev/zero", 0))
    }
  }

  /// The length is held against the file before anything is taken for it.
  @Test func aSectionThatSaysItIsHugeIsRefused() throws {
    var bytes = Array("APUSSAVE".utf8) + [1, 0, 0, 0, 0, 0, 0, 0]
    let start = bytes.count
    bytes += SnapshotSection.header(.machine, 0, [])
    for index in 0..<4 { bytes[start + 20 + index] = 0xFF }
    let error = #expect(throws: SnapshotError.self) { try read(bytes) }
    #expect(error?.description.contains("offset 16") == true)
  }

  /// The check value of CRC-32C (RFC 3720, B.4).
  @Test func theChecksumIsTheOneOfISCSI() {
    var checksum = CRC32C()
    checksum.add(Array("123456789".utf8))
    #expect(checksum.value == 0xE306_9283)
    var zeroes = CRC32C()
    zeroes.add([UInt8](repeating: 0, count: 32))
    #expect(zeroes.value == 0x8A91_36AA)
  }

  @Test func theInterruptsOfASavedMachineAreShown() throws {
    let snapshot = snapshot()
    _ = try file(snapshot)

    let state = try Machine.interruptState(at: folder.path(of: "file"))

    #expect(state == snapshot.interrupts)
  }
}
