import DeviceModel
import Testing

@Suite struct BusRegistrationTests {
  let bus = Bus()
  let device = RecordingDevice()

  @Test(arguments: [
    BusRange(0x10F0, size: 0x20), BusRange(0x0FF0, size: 0x11), BusRange(0x1010, size: 1),
    BusRange(0x0, size: .max), BusRange(0x1000, size: 0x100), BusRange(0x10FF, size: 1),
  ])
  func overlapIsRefusedAndNamesBothDevices(range: BusRange) throws {
    _ = try bus.register(device, name: "uart", at: [BusRange(0x1000, size: 0x100)])
    let before = bus.mappings
    let error = #expect(throws: BusError.self) {
      try bus.register(RecordingDevice(), name: "disk", at: [range])
    }
    #expect(error?.description.contains("uart at 0x1000-0x10ff") == true)
    #expect(error?.description.hasPrefix("disk at 0x") == true)
    #expect(bus.mappings == before)
  }

  @Test func overlapReadsAsOneLine() throws {
    _ = try bus.register(device, name: "com1", at: [BusRange(0x3F8, size: 8)])
    let error = #expect(throws: BusError.self) {
      try bus.register(device, name: "com9", at: [BusRange(0x3FF, size: 2)])
    }
    #expect(error?.description == "com9 at 0x3ff-0x400 overlaps com1 at 0x3f8-0x3ff")
  }

  @Test func theRangesOfOneDeviceMustNotOverlapEither() {
    #expect(throws: BusError.self) {
      try bus.register(device, name: "x", at: [BusRange(8, size: 8), BusRange(0, size: 9)])
    }
  }

  @Test func neighboursAreNoOverlap() throws {
    _ = try bus.register(device, name: "a", at: [BusRange(0x1000, size: 0x10)])
    _ = try bus.register(device, name: "b", at: [BusRange(0x1010, size: 0x10)])
    _ = try bus.register(device, name: "c", at: [BusRange(0xFF0, size: 0x10)])
    #expect(bus.mappings.map(\.name) == ["c", "a", "b"])
  }

  @Test(arguments: [
    (Bus.Space.memory, BusRange(.max, size: 2)), (.memory, BusRange(2, size: .max)),
    (.port, BusRange(0xFFFF, size: 2)), (.port, BusRange(0x10000, size: 1)),
    (.port, BusRange(0, size: .max)),
  ])
  func aRangeBeyondTheSpaceIsRefused(space: Bus.Space, range: BusRange) {
    #expect(
      throws: BusError.outside(
        name: "x",
        region: 0,
        base: range.base ?? 0,
        size: range.size,
        last: space.last
      )
    ) { try Bus(space).register(device, name: "x", at: [range]) }
  }

  @Test func anEmptyRangeIsRefused() {
    #expect(throws: BusError.empty(name: "x", region: 1)) {
      try bus.register(device, name: "x", at: [BusRange(0, size: 1), BusRange(4, size: 0)])
    }
  }

  @Test func mappingsAreListedByAddress() throws {
    _ = try bus.register(device, name: "b", at: [BusRange(0x20, size: 4), BusRange(0, size: 8)])
    _ = try bus.register(device, name: "a", at: [BusRange(0x10, size: 1)])
    #expect(bus.mappings.map(\.description) == ["0x0-0x7 b", "0x10-0x10 a", "0x20-0x23 b"])
  }

  @Test func aMovedRangeAnswersAtTheNewPlaceOnly() throws {
    let ticket = try bus.register(
      device,
      name: "bar",
      at: [BusRange(0x1000, size: 0x10), BusRange(0x2000, size: 0x10)]
    )
    let view = BusView(of: bus)
    try bus.move(ticket, region: 1, to: 0x3000)
    #expect(view.read(0x2004, width: 1) == 0xFF)
    #expect(view.read(0x3004, width: 1) == 0x04)
    #expect(view.read(0x1004, width: 1) == 0x04)
    #expect(device.calls.first == .read(BusAccess(region: 1, offset: 4, width: 1)))
  }

  @Test func aRangeMayMoveOntoAPartOfItself() throws {
    let ticket = try bus.register(device, name: "bar", at: [BusRange(0x1000, size: 0x100)])
    try bus.move(ticket, to: 0x1080)
    #expect(bus.mappings.map(\.addresses) == [0x1080...0x117F])
  }

  @Test func twoRangesMayChangePlacesInOneMove() throws {
    let ticket = try bus.register(
      device,
      name: "bar",
      at: [BusRange(0x1000, size: 0x10), BusRange(0x1010, size: 0x10)]
    )
    try bus.move(ticket, to: [0x1010, 0x1000])
    #expect(bus.mappings.map(\.region) == [1, 0])
  }

  @Test func aRangeCanBeSwitchedOffAndOnAgain() throws {
    let ticket = try bus.register(device, name: "bar", at: [BusRange(0x1000, size: 0x10)])
    let view = BusView(of: bus)
    try bus.move(ticket, to: nil)
    #expect(view.read(0x1000, width: 1) == 0xFF)
    #expect(bus.mappings.isEmpty)
    try bus.move(ticket, to: 0x1000)
    #expect(view.read(0x1000, width: 1) == 0x00)
  }

  @Test func aMoveOntoAnotherDeviceIsRefusedAndChangesNothing() throws {
    _ = try bus.register(device, name: "a", at: [BusRange(0x1000, size: 0x10)])
    let ticket = try bus.register(device, name: "b", at: [BusRange(0x2000, size: 0x10)])
    let before = bus.mappings
    #expect(throws: BusError.self) { try bus.move(ticket, to: 0x100F) }
    #expect(bus.mappings == before)
  }

  @Test func aRemovedDeviceIsGoneAndCannotBeMoved() throws {
    let ticket = try bus.register(device, name: "a", at: [BusRange(0x1000, size: 0x10)])
    bus.remove(ticket)
    bus.remove(ticket)
    #expect(BusView(of: bus).read(0x1000, width: 1) == 0xFF)
    #expect(throws: BusError.notRegistered(name: "a")) { try bus.move(ticket, to: 0) }
  }

  @Test func aTicketMeansNothingToAnotherBus() throws {
    let ticket = try bus.register(device, name: "a", at: [BusRange(0x1000, size: 0x10)])
    Bus().remove(ticket)
    #expect(bus.mappings.count == 1)
  }
}
