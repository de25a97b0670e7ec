import Platform
import Synchronization
import Testing

@Suite struct DebugExitTests {
  @Test(arguments: [(UInt64(0), Int32(1)), (0x10, 33), (0x7F, 255)])
  func aWriteEndsTheProcessWithAnOddCode(value: UInt64, code: Int32) {
    let system = RecordingSystem()
    let device = DebugExit(system: system)

    device.write(0, value, width: 4)

    #expect(system.events == [.exit(code: code)])
  }

  @Test func aCodeBeyondThirtyTwoBitsWraps() {
    let system = RecordingSystem()
    let device = DebugExit(system: system)

    device.write(0, 0xFFFF_FFFF, width: 4)

    #expect(system.events == [.exit(code: -1)])
  }
}

@Suite struct TestDeviceTests {
  private final class Lines: TestLines {
    let levels = Mutex<[Int: Bool]>([:])
    func setLine(_ line: Int, to level: Bool) { levels.withLock { $0[line] = level } }
  }

  private let lines = Lines()
  private let device: TestDevice

  init() { device = TestDevice(lines: lines) }

  @Test(arguments: [0, 2], [1, 2, 4])
  func whatWasWrittenReadsBackAtAnyWidth(region: Int, width: Int) {
    let mask = UInt64(1) << (8 * UInt64(width)) - 1

    device.write(4, 0x1234_5678 & mask, width: width, region: region)

    #expect(device.read(4, width: width, region: region) == 0x1234_5678 & mask)
    #expect(device.read(4, region: region) == 0x1234_5678 & mask & 0xFF)
  }

  @Test func bytesOfAWordAreReadApart() {
    device.write(0, 0xDDCC_BBAA, width: 4)

    #expect(device.read(1, width: 2) == 0xCCBB)
  }

  @Test func accessesBeyondTheEndReadZeroAndAreIgnored() {
    device.write(15, 0xFFFF, width: 2)
    device.write(0xFFFF, 0xFFFF, width: 2, region: 2)

    #expect(device.read(15, width: 2) == 0xFF)
    #expect(device.read(0xFFFF, width: 2, region: 2) == 0xFF)
  }

  @Test func aWriteToALinesPortSetsTheLineToTheValuesTruth() {
    device.write(5, 1, region: 1)
    device.write(23, 0x80, width: 4, region: 1)
    device.write(7, 0, region: 1)
    device.write(24, 1, region: 1)

    #expect(lines.levels.withLock { $0 } == [5: true, 23: true, 7: false])
  }
}

@Suite struct FirmwareConfigurationTests {
  private let device = FirmwareConfiguration(
    memorySize: 0x1_2345_6789,
    processorCount: 4,
    memoryMap: [
      .init(address: 0, count: 0x9FC00, type: 1),
      .init(address: 0x10_0000, count: 0x700_0000, type: 1),
    ]
  )

  private func item(_ key: UInt64, count: Int) -> [UInt8] {
    device.write(0, key, width: 2)
    return (0..<count).map { _ in UInt8(device.read(1)) }
  }

  private static let items: [(UInt64, [UInt8])] = [
    (0x0000, Array("QEMU".utf8)),
    (0x0001, [1, 0, 0, 0]),
    (0x0003, [0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0]),
    (0x0005, [4, 0]),
    (0x000F, [4, 0]),
    (0x8003, [2, 0, 0, 0] + [UInt8](repeating: 0, count: 8) + [0x00, 0xFC, 0x09, 0x00]),
    (0x4242, [0, 0]),
  ]

  @Test(arguments: items)
  func itemsHaveTheBytesThatProgramsExpect(key: UInt64, bytes: [UInt8]) {
    #expect(item(key, count: bytes.count) == bytes)
  }

  @Test func bytesBehindTheEndReadAsZero() {
    #expect(item(0x0005, count: 5) == [4, 0, 0, 0, 0])
  }

  @Test func selectingAnItemStartsItOver() {
    _ = item(0x0000, count: 3)

    #expect(item(0x0000, count: 1) == Array("Q".utf8))
  }

  @Test func aWideReadTakesConsecutiveBytes() {
    device.write(0, 0, width: 2)

    #expect(device.read(1, width: 4) == 0x554D_4551)
  }

  @Test func theDirectoryNamesTheMemoryMapInBigEndian() {
    let directory = item(0x0019, count: 68)

    #expect(Array(directory[..<12]) == [0, 0, 0, 1, 0, 0, 0, 40, 0, 0x20, 0, 0])
    #expect(directory[12..<22].elementsEqual("etc/e820".utf8 + [0, 0]))
    #expect(item(0x0020, count: 40)[20...23] == [0, 0, 0x10, 0])
  }

  @Test func theSelectorTakesSixteenBitWritesOnly() {
    device.write(0, 5, width: 2)
    device.write(0, 0, width: 1)

    #expect(device.read(1) == 4)
  }
}
