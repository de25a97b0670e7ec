import DeviceModel
import Testing

@Suite struct BusLookupTests {
  let bus = Bus()
  let device = RecordingDevice()

  @Test(
    arguments: [
      (0xFFF, 1, 0xFF), (0x1000, 1, 0x00), (0x10FF, 1, 0xFF), (0x1100, 1, 0xFF),
      (0x1010, 2, 0x1110), (0x1010, 4, 0x1312_1110), (0x1010, 8, 0x1716_1514_1312_1110),
      (0x2000, 8, .max), (0x2000, 4, 0xFFFF_FFFF),
    ] as [(UInt64, Int, UInt64)]
  )
  func readsFromTheDeviceThatClaimsTheAddress(address: UInt64, width: Int, value: UInt64) throws {
    _ = try bus.register(device, name: "uart", at: [BusRange(0x1000, size: 0x100)])
    #expect(BusView(of: bus).read(address, width: width) == value)
  }

  @Test func writesReachTheDeviceWithOffsetAndOnlyTheBytesWritten() throws {
    _ = try bus.register(device, name: "uart", at: [BusRange(0x1000, size: 0x100)])
    BusView(of: bus).write(0xDEAD_BEEF, at: 0x1008, width: 2)
    #expect(device.calls == [.write(0xBEEF, BusAccess(offset: 8, width: 2))])
  }

  @Test func bitsAboveTheWidthThatADeviceReturnsAreDropped() throws {
    let noisy = RecordingDevice(answer: { _ in .max })
    _ = try bus.register(noisy, name: "noisy", at: [BusRange(0, size: 8)])
    #expect(BusView(of: bus).read(0, width: 2) == 0xFFFF)
  }

  @Test func regionsAreCountedInTheOrderOfRegistrationAndHolesAreNobodys() throws {
    let ranges = [BusRange(0x3000, size: 4), .unmapped(size: 16), BusRange(0x1000, size: 4)]
    _ = try bus.register(device, name: "ide", at: ranges)
    let view = BusView(of: bus)
    _ = view.read(0x1002, width: 1)
    _ = view.read(0x2000, width: 1)
    _ = view.read(0x3001, width: 1)
    #expect(
      device.calls == [
        .read(BusAccess(region: 2, offset: 2, width: 1)),
        .read(BusAccess(region: 0, offset: 1, width: 1)),
      ]
    )
    #expect(view.unclaimedAccesses == 1)
  }

  @Test func accessesThatNobodyClaimsAreCountedPerViewAndInAll() throws {
    let views = [BusView(of: bus), BusView(of: bus)]
    _ = views[0].read(0x1000, width: 4)
    views[1].write(1, at: 0x1000, width: 4)
    _ = views[1].read(0x1001, width: 8)
    #expect(views.map(\.unclaimedAccesses) == [1, 2])
    #expect(bus.unclaimedAccesses == 3)
  }

  @Test func aViewThatIsGoneStaysInTheCount() {
    _ = BusView(of: bus).read(0, width: 1)
    #expect(bus.unclaimedAccesses == 1)
  }

  @Test func aPerVCPUDeviceEclipsesTheMachinesForItsOwnViewOnly() throws {
    let apic = RecordingDevice(answer: { _ in 0xAA })
    _ = try bus.register(device, name: "ram", at: [BusRange(0x1000, size: 0x1000)])
    let views = [BusView(of: bus), BusView(of: bus)]
    _ = try views[0].local.register(apic, name: "apic", at: [BusRange(0x1800, size: 0x10)])
    #expect(views[0].read(0x1804, width: 1) == 0xAA)
    #expect(views[1].read(0x1804, width: 1) == 0x04)
    #expect(views[0].read(0x1810, width: 1) == 0x10)
  }

  @Test func theLastByteOfTheSpaceCanBeClaimed() throws {
    _ = try bus.register(device, name: "flash", at: [BusRange(.max - 0xFFF, size: 0x1000)])
    let view = BusView(of: bus)
    #expect(view.read(.max, width: 1) == 0xFF)
    #expect(view.read(.max - 7, width: 8) == 0xFFFE_FDFC_FBFA_F9F8)
    #expect(view.unclaimedAccesses == 0)
  }

  @Test func aHandlerCanAccessTheSameView() throws {
    let view = BusView(of: bus)
    let inner = BusRange(0x1000, size: 8)
    _ = try bus.register(device, name: "inner", at: [inner])
    let outer = RecordingDevice(answer: { [unowned view] _ in view.read(0x1002, width: 2) })
    _ = try bus.register(outer, name: "outer", at: [BusRange(0x2000, size: 8)])
    #expect(view.read(0x2000, width: 4) == 0x0302)
    #expect(view.read(0x2000, width: 4) == 0x0302)
  }
}
