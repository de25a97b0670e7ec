import DeviceModel
import Testing

/// Accesses with more than one owner.
///
/// Every device here reads as its offsets; device `a` has
/// 0x1000...0x100B, `b` 0x100C...0x1013.
@Suite struct BusSplitTests {
  let bus = Bus()
  let a = RecordingDevice()
  let b = RecordingDevice(answer: { 0x4040_4040_4040_4040 | offsets($0) })

  init() throws {
    _ = try bus.register(a, name: "a", at: [BusRange(0x1000, size: 12)])
    _ = try bus.register(b, name: "b", at: [BusRange(0x100C, size: 8)])
  }

  @Test(
    arguments: [
      (0x1009, [(1, 9), (2, 10)], [(4, 0), (1, 4)]),
      (0x1005, [(1, 5), (2, 6), (4, 8)], [(1, 0)]),
      (0x1008, [(4, 8)], [(4, 0)]),
      (0x100A, [(2, 10)], [(4, 0), (2, 4)]),
      (0x100B, [(1, 11)], [(4, 0), (2, 4), (1, 6)]),
      (0x100C, [], [(8, 0)]),
    ] as [(UInt64, [(Int, UInt64)], [(Int, UInt64)])]
  )
  func eachDeviceGetsItsPartInNaturallyAlignedPieces(
    address: UInt64,
    toA: [(Int, UInt64)],
    toB: [(Int, UInt64)]
  ) {
    let value = BusView(of: bus).read(address, width: 8)
    #expect(a.calls == toA.map { .read(BusAccess(offset: $0.1, width: $0.0)) })
    #expect(b.calls == toB.map { .read(BusAccess(offset: $0.1, width: $0.0)) })
    let bytes = (address..<address + 8).map { $0 < 0x100C ? $0 - 0x1000 : 0x40 | ($0 - 0x100C) }
    #expect(value == bytes.reversed().reduce(0) { $0 << 8 | $1 })
  }

  @Test func aWriteIsSplitLikewise() {
    BusView(of: bus).write(0x0807_0605_0403_0201, at: 0x1009, width: 8)
    #expect(
      a.calls == [
        .write(0x01, BusAccess(offset: 9, width: 1)),
        .write(0x0302, BusAccess(offset: 10, width: 2)),
      ]
    )
    #expect(
      b.calls == [
        .write(0x0706_0504, BusAccess(offset: 0, width: 4)),
        .write(0x08, BusAccess(offset: 4, width: 1)),
      ]
    )
  }

  @Test(
    arguments: [
      (0x0FFD, 4, 0x00FF_FFFF), (0x0FFF, 2, 0x00FF), (0x0FFC, 8, 0x0302_0100_FFFF_FFFF),
      (0x1012, 4, 0xFFFF_4746), (0x1013, 8, 0xFFFF_FFFF_FFFF_FF47),
    ] as [(UInt64, Int, UInt64)]
  )
  func bytesOfNobodyReadAsOnesAndAreCountedOnce(address: UInt64, width: Int, value: UInt64) {
    let view = BusView(of: bus)
    #expect(view.read(address, width: width) == value)
    view.write(0, at: address, width: width)
    #expect(view.unclaimedAccesses == 2)
  }

  @Test(
    arguments: [
      (0x1001, 3, [(1, 1), (2, 2)]), (0x1000, 3, [(2, 0), (1, 2)]),
      (0x1002, 5, [(2, 2), (2, 4), (1, 6)]),
      (0x1004, 6, [(4, 4), (2, 8)]), (0x1001, 7, [(1, 1), (2, 2), (4, 4)]),
    ] as [(UInt64, Int, [(Int, UInt64)])]
  )
  func aWidthThatIsNoPowerOfTwoIsSplit(address: UInt64, width: Int, parts: [(Int, UInt64)]) {
    let value = BusView(of: bus).read(address, width: width)
    #expect(a.calls == parts.map { .read(BusAccess(offset: $0.1, width: $0.0)) })
    #expect(value == offsets(BusAccess(offset: address - 0x1000, width: width)))
  }

  @Test func aMisalignedAccessWithinOneDeviceStaysWhole() {
    _ = BusView(of: bus).read(0x1001, width: 8)
    #expect(a.calls == [.read(BusAccess(offset: 1, width: 8))])
  }

  @Test func aSmallPerVCPUDeviceCutsAWideAccessInThree() throws {
    let view = BusView(of: bus)
    let inner = RecordingDevice(answer: { _ in 0xEE })
    _ = try view.local.register(inner, name: "inner", at: [BusRange(0x1002, size: 1)])
    #expect(view.read(0x1000, width: 8) == 0x0706_0504_03EE_0100)
    #expect(inner.calls == [.read(BusAccess(offset: 0, width: 1))])
    #expect(
      a.calls == [
        .read(BusAccess(offset: 0, width: 2)), .read(BusAccess(offset: 3, width: 1)),
        .read(BusAccess(offset: 4, width: 4)),
      ]
    )
  }

  @Test func bytesPastTheEndOfMemoryAreNobodys() throws {
    let top = RecordingDevice()
    let bottom = RecordingDevice()
    _ = try bus.register(top, name: "top", at: [BusRange(.max - 3, size: 4)])
    _ = try bus.register(bottom, name: "bottom", at: [BusRange(0, size: 4)])
    let view = BusView(of: bus)
    #expect(view.read(.max - 1, width: 4) == 0xFFFF_0302)
    #expect(view.read(.max, width: 8) == 0xFFFF_FFFF_FFFF_FF03)
    #expect(bottom.calls.isEmpty)
    #expect(view.unclaimedAccesses == 2)
  }

  @Test func aDeviceWithAllOfMemoryButOneByteIsNotReachedAcrossTheEnd() throws {
    let all = Bus()
    _ = try all.register(a, name: "all", at: [BusRange(0, size: .max)])
    #expect(BusView(of: all).read(.max - 1, width: 4) == 0xFFFF_FFFE)
    #expect(a.calls == [.read(BusAccess(offset: .max - 1, width: 1))])
  }

  @Test func bytesPastTheLastPortAreNobodys() throws {
    let ports = Bus(.port)
    _ = try ports.register(a, name: "last", at: [BusRange(0xFFFF, size: 1)])
    _ = try ports.register(b, name: "first", at: [BusRange(0, size: 1)])
    #expect(BusView(of: ports).read(0xFFFF, width: 4) == 0xFFFF_FF00)
    #expect(b.calls.isEmpty)
  }

  @Test func aPartIsNotDeliveredToADeviceThatAnEarlierPartRemoved() throws {
    let view = BusView(of: bus)
    let victim = RecordingDevice()
    let ticket = try bus.register(victim, name: "victim", at: [BusRange(0x2004, size: 4)])
    let remover = RecordingDevice(answer: { [unowned bus] _ in
      bus.remove(ticket)
      return 0
    })
    _ = try bus.register(remover, name: "remover", at: [BusRange(0x2000, size: 4)])
    #expect(view.read(0x2002, width: 4) == 0xFFFF_0000)
    #expect(victim.calls.isEmpty)
  }
}
