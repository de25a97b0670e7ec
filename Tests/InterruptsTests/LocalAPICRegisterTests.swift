import DeviceModel
import Interrupts
import TestSupport
import Testing

/// The page of registers as software sees it.
@Suite struct LocalAPICRegisterTests {
  @Test func afterPowerUpItIsAsTheManualSays() {
    let bench = LocalAPICBench(3, isSwitchedOn: false)

    let offsets: [UInt64] = [0x20, 0x30, 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, 0x280]
    #expect(
      offsets.map { bench.read($0, 2) }
        == [2 << 24, 0x0105_0014, 0, 0, 0, 0, 0, 0, 0xFFFF_FFFF, 0xFF, 0]
    )
    let table: [UInt64] = [0x320, 0x330, 0x340, 0x350, 0x360, 0x370]
    #expect(table.map { bench.read($0, 2) } == Array(repeating: 0x10000, count: 6))
    #expect([0x300, 0x310, 0x380, 0x390, 0x3E0].map { bench.read($0, 2) } == [0, 0, 0, 0, 0])
    #expect(stride(from: 0x100, to: 0x280, by: 0x10).allSatisfy { bench.read($0, 2) == 0 })
    #expect(bench.apic.base == 0xFEE0_0900)
    #expect(bench.all[2].base == 0xFEE0_0800)
    #expect(!bench.apic.hasWork)
  }

  @Test func whatItHasShowsInTheVersion() {
    var options = LocalAPICOptions()
    options.hasCMCI = true
    options.suppressesEOIBroadcast = false
    let bench = LocalAPICBench(options: options)
    bench.write(0x2F0, 0xFFFF_FFFF)
    bench.write(0xF0, 0x1FFF)

    #expect(bench.read(0x30) == 0x0006_0014)
    #expect(bench.read(0x2F0) == 0x1_07FF)
    #expect(bench.read(0xF0) == 0x3FF)
    #expect(bench.errors() == 0)
  }

  static let writable: [(offset: UInt64, ones: UInt64)] = [
    (0x20, 0), (0x30, 0x0105_0014), (0x80, 0xFF), (0x90, 0), (0xA0, 0), (0xB0, 0), (0xC0, 0),
    (0xD0, 0xFF00_0000), (0xE0, 0xFFFF_FFFF), (0xF0, 0x13FF), (0x100, 0), (0x180, 0), (0x200, 0),
    (0x300, 0xC_CFFF), (0x310, 0xFF00_0000), (0x320, 0x7_00FF), (0x330, 0x1_07FF),
    (0x340, 0x1_07FF), (0x350, 0x1_A7FF), (0x360, 0x1_A7FF), (0x370, 0x1_00FF), (0x390, 0),
    (0x3E0, 0xB),
  ]

  @Test(arguments: writable)
  func onlyTheBitsThatThereAreCanBeWritten(offset: UInt64, ones: UInt64) {
    let bench = LocalAPICBench()

    bench.write(offset, 0xFFFF_FFFF)

    #expect(bench.read(offset) == ones)
    #expect(bench.errors() == 0)
  }

  @Test func theInitialCountHasAllBits() {
    let bench = LocalAPICBench()

    bench.write(0x380, 0xFFFF_FFFF)

    #expect(bench.read(0x380) == 0xFFFF_FFFF)
    #expect(bench.read(0x390) == 0xFFFF_FFFF)
  }

  @Test func theDestinationFormatKeepsItsOnes() {
    let bench = LocalAPICBench()

    bench.write(0xE0, 0)

    #expect(bench.read(0xE0) == 0x0FFF_FFFF)
  }

  @Test(arguments: [
    UInt64(0x00), 0x10, 0x40, 0x70, 0x290, 0x2F0, 0x3A0, 0x3D0, 0x3F0, 0x400, 0xFF0,
  ])
  func anAddressWithoutARegisterIsAnError(offset: UInt64) {
    let bench = LocalAPICBench()

    #expect(bench.read(offset) == 0)
    #expect(bench.errors() == 0x80)
    bench.write(offset, 1)
    #expect(bench.errors() == 0x80)
    #expect(bench.errors() == 0)
  }

  @Test func otherWidthsReadTheBytesThatTheyCover() {
    let bench = LocalAPICBench()
    bench.write(0x3E0, 0)
    bench.write(0x380, 0x1234_5678)

    #expect(bench.read(0x380, width: 1) == 0x78)
    #expect(bench.read(0x381, width: 1) == 0x56)
    #expect(bench.read(0x382, width: 2) == 0x1234)
    #expect(bench.read(0x380, width: 8) == 0x1234_5678)
    #expect(bench.read(0x384, width: 4) == 0)
    #expect(bench.read(0x38C, width: 8) == 0)
    #expect(bench.errors() == 0)
  }

  @Test(arguments: [(UInt64(0x80), 1), (0x80, 2), (0x80, 8), (0x81, 4), (0x84, 4), (0x8C, 4)])
  func otherWidthsWriteNothing(offset: UInt64, width: Int) {
    let bench = LocalAPICBench()

    bench.write(offset, 0x20, width: width)

    #expect(bench.read(0x80) == 0)
    #expect(bench.errors() == 0)
  }

  @Test func switchedOffBySoftwareTheTableIsMaskedAndStaysSo() {
    let bench = LocalAPICBench()
    bench.write(0x350, 0x0_0700)
    bench.write(0x320, 0x0_0030)

    bench.write(0xF0, 0x0FF)
    bench.write(0x320, 0x0_0031)

    #expect(bench.read(0x350) == 0x1_0700)
    #expect(bench.read(0x320) == 0x1_0031)
  }

  @Test func switchedOffBySoftwareItTakesNoVectorsButKeepsThem() {
    let bench = LocalAPICBench()
    bench.message(0x41)

    bench.write(0xF0, 0x0FF)

    #expect(bench.message(0x51) == .ignored)
    #expect(bench.message(0x700) == .ignored)
    #expect(bench.message(0x400) == .delivered)
    #expect(bench.apic.takeEvents().nmi)
    #expect(bench.apic.acknowledgeInterrupt() == 0x41)
  }

  @Test func initKeepsBaseAndWhatHasComeForTheProcessor() throws {
    let bench = LocalAPICBench(2)
    try bench.all[1].writeBase(0x1_2345_6800)
    bench.write(0x80, 0x50, 1)
    bench.write(0xD0, 0x0200_0000, 1)
    bench.message(0x61, to: 1)
    bench.send(0x4500, to: 1)
    bench.send(0x4608, to: 1)

    bench.all[1].initialize()

    #expect(bench.all[1].base == 0x1_2345_6800)
    #expect([0x20, 0x80, 0xD0, 0xF0].map { bench.read($0, 1) } == [1 << 24, 0, 0, 0xFF])
    #expect(bench.pending(0x61) == [])
    var expected = LocalAPICEvents()
    expected.initReceived = true
    expected.startUpVector = 8
    #expect(bench.all[1].takeEvents() == expected)
  }

  @Test func resetIsAsAfterPowerUp() throws {
    let bench = LocalAPICBench()
    let fresh = LocalAPICBench(isSwitchedOn: false)
    try bench.enterX2APIC()
    bench.message(0x61)
    bench.message(0x400)
    try bench.apic.writeMSR(0x832, 0x2_0070)
    try bench.apic.writeMSR(0x838, 1000)

    bench.apic.reset()

    #expect(bench.apic.state == fresh.apic.state)
    #expect(bench.clock.armedCount == 0)
    #expect(!bench.apic.hasWork)
  }

  @Test func virtualWireModeIsWhatFirmwareLeaves() {
    let bench = LocalAPICBench(isSwitchedOn: false)

    bench.apic.enterVirtualWireMode()

    #expect([0xF0, 0x350, 0x360].map { bench.read($0) } == [0x1FF, 0x700, 0x400])
  }
}
