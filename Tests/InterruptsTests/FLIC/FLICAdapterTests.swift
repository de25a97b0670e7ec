import Interrupts
import Testing

/// Adapters, their masks and mappings, and the suppression of their interrupts.
@Suite struct FLICAdapterTests {
  private let bench = FLICBench()

  private func adapter(
    _ id: UInt64,
    isc: UInt8,
    maskable: UInt8 = 1,
    swap: UInt8 = 0,
    flags: UInt8 = 1
  ) -> [UInt8] {
    big(id, 4) + [isc, maskable, swap, flags]
  }

  private func request(_ id: UInt64, _ type: UInt8, mask: UInt8 = 0, _ address: UInt64 = 0)
    -> [UInt8]
  {
    big(id, 4) + [type, mask, 0xAA, 0xBB] + big(address, 8)
  }

  private func register(_ bytes: [UInt8]) throws(FLICError) { try bench.set(6, bytes) }
  private func modify(_ bytes: [UInt8]) throws(FLICError) { try bench.set(7, bytes) }
  private func setMode(_ isc: UInt8, _ mode: UInt64) throws(FLICError) {
    try bench.set(9, [isc, 0xCC] + big(mode, 2))
  }
  private func inject(_ id: UInt64) throws(FLICError) { try bench.set(10, attr: id) }
  private var modes: [UInt8]? { try? bench.get(11, attr: 2, room: 2).1 }

  /// The record of an adapter's interrupt.
  private func interrupt(isc: UInt64) -> [UInt8] {
    Record.padded(big(0x0400_0000, 8) + big(0, 8) + big(0x8000_0000 | isc << 27, 4))
  }

  // MARK: Registration

  @Test func anAdapterIsKnownByItsId() throws {
    try register(adapter(63, isc: 6, maskable: 1, swap: 1, flags: 0xFF))

    let known = try #require(bench.flic.adapter(63))
    #expect(known.isc == 6)
    #expect(known.isMaskable && known.isSwapped && known.isSuppressible)
    #expect(!known.isMasked)
    #expect(bench.flic.adapter(62) == nil)
    #expect(bench.flic.adapter(64) == nil)
  }

  @Test func anIdIsGivenOnceAndIsBelow64() throws {
    try register(adapter(0, isc: 1))

    #expect(bench.code { () throws(FLICError) in try register(adapter(0, isc: 2)) } == 22)
    #expect(bench.code { () throws(FLICError) in try register(adapter(64, isc: 2)) } == 22)
    #expect(
      bench.code { () throws(FLICError) in try register(adapter(0xFFFF_FFFF, isc: 2)) } == 22
    )
    #expect(bench.flic.adapter(0)?.isc == 1)
  }

  @Test func aTruncatedAdapterFaults() throws {
    let truncated = Array(adapter(1, isc: 1).dropLast())

    #expect(bench.code { () throws(FLICError) in try register(truncated) } == 14)
    #expect(
      bench.code { () throws(FLICError) in try modify(Array(request(1, 1).dropLast())) } == 14
    )
    #expect(bench.flic.adapter(1) == nil)
  }

  // MARK: Modification

  @Test func aMaskableAdapterIsMaskedAndUnmasked() throws {
    try register(adapter(1, isc: 1))

    try modify(request(1, 1, mask: 0x80))
    #expect(bench.flic.adapter(1)?.isMasked == true)
    #expect(try bench.flic.signal(adapter: 1) == .ignored)
    try modify(request(1, 1, mask: 0))

    #expect(bench.flic.adapter(1)?.isMasked == false)
    #expect(try bench.flic.signal(adapter: 1) == .delivered)
    #expect(try bench.all() == interrupt(isc: 1))
  }

  @Test func anInjectedInterruptHasPassedTheMask() throws {
    try register(adapter(1, isc: 1))
    try modify(request(1, 1, mask: 1))

    try inject(1)

    #expect(try bench.all() == interrupt(isc: 1))
  }

  @Test func anAdapterThatCannotBeMaskedIsNot() throws {
    try register(adapter(1, isc: 1, maskable: 0))

    #expect(bench.code { () throws(FLICError) in try modify(request(1, 1, mask: 1)) } == 22)
    #expect(bench.flic.adapter(1)?.isMasked == false)
  }

  @Test func addressesAreMappedAsOftenAsAskedAndUnmappedOnce() throws {
    try register(adapter(1, isc: 1))

    for address: UInt64 in [0x1000, 0x2000, 0x1000] { try modify(request(1, 2, address)) }
    try modify(request(1, 3, 0x1000))

    #expect(bench.flic.adapter(1)?.mappings == [0x2000, 0x1000])
    #expect(bench.code { () throws(FLICError) in try modify(request(1, 3, 0x3000)) } == 22)
    #expect(bench.code { () throws(FLICError) in try modify(request(1, 2, 0)) } == 22)
    #expect(bench.code { () throws(FLICError) in try modify(request(1, 3, 0)) } == 22)
    #expect(bench.flic.adapter(1)?.mappings == [0x2000, 0x1000])
  }

  @Test func anAdapterMaps256Addresses() throws {
    try register(adapter(1, isc: 1))
    for address in 1...256 as ClosedRange<UInt64> { try modify(request(1, 2, address)) }

    #expect(bench.code { () throws(FLICError) in try modify(request(1, 2, 257)) } == 22)
    #expect(bench.flic.adapter(1)?.mappings.count == 256)
  }

  @Test(arguments: [UInt8(0), 4, 255])
  func anUnknownOperationIsInvalid(type: UInt8) throws {
    try register(adapter(1, isc: 1))

    #expect(bench.code { () throws(FLICError) in try modify(request(1, type, 0x1000)) } == 22)
  }

  @Test(arguments: [UInt64(2), 64, 0xFFFF_FFFF])
  func anUnknownAdapterIsInvalid(id: UInt64) {
    for type: UInt8 in 1...3 {
      #expect(bench.code { () throws(FLICError) in try modify(request(id, type, 1)) } == 22)
    }
    #expect(bench.code { () throws(FLICError) in try inject(id) } == 22)
    #expect(throws: FLICError.invalid) {
      try bench.flic.signal(adapter: UInt32(truncatingIfNeeded: id))
    }
  }

  // MARK: Suppression

  @Test func inTheAllInterruptionsModeEachIsLetThrough() throws {
    try register(adapter(1, isc: 4))

    for _ in 0..<3 { try inject(1) }

    #expect(bench.flic.pendingCount == 3)
    #expect(modes == [0, 0])
  }

  @Test func inTheSingleInterruptionModeOneIsLetThroughUntilTheModeIsSetAgain() throws {
    try register(adapter(1, isc: 4))
    try setMode(4, 1)
    #expect(modes == [0x08, 0])

    for _ in 0..<3 { try inject(1) }
    #expect(bench.flic.pendingCount == 1)
    #expect(modes == [0x08, 0x08])

    try setMode(4, 1)
    #expect(try bench.flic.inject(adapter: 1) == .delivered)
    #expect(try bench.flic.inject(adapter: 1) == .ignored)
    #expect(bench.flic.pendingCount == 2)

    try setMode(4, 0)
    for _ in 0..<3 { try inject(1) }
    #expect(bench.flic.pendingCount == 5)
    #expect(modes == [0, 0])
  }

  @Test func aSubclassIsSuppressedByItself() throws {
    try register(adapter(1, isc: 0))
    try register(adapter(2, isc: 7))
    try setMode(0, 1)

    for _ in 0..<2 {
      try inject(1)
      try inject(2)
    }

    #expect(try bench.all() == interrupt(isc: 0) + interrupt(isc: 7) + interrupt(isc: 7))
    #expect(modes == [0x80, 0x80])
  }

  @Test func anAdapterThatIsNotSuppressibleIsNotSuppressed() throws {
    try register(adapter(1, isc: 4, flags: 0xFE))
    try bench.set(11, [0xFF, 0xFF])

    for _ in 0..<3 { try inject(1) }

    #expect(bench.flic.pendingCount == 3)
    #expect(modes == [0xFF, 0xFF])
  }

  @Test func whatDidNotFitHasNotUsedUpTheSingleInterruption() throws {
    var configuration = FLICConfiguration()
    configuration.ioLimit = 1
    let bench = FLICBench(configuration)
    try bench.set(6, adapter(1, isc: 4))
    try bench.set(9, [4, 0, 0, 1])
    try bench.enqueue(Record.io(1, isc: 1))

    #expect(bench.code { () throws(FLICError) in try bench.set(10, attr: 1) } == 16)
    #expect(try bench.get(11, attr: 2, room: 2).1 == [0x08, 0])
  }

  @Test func theModesOfAllSubclassesAreSavedAndRestored() throws {
    try register(adapter(1, isc: 2))
    try bench.set(11, [0x30, 0x20])

    let (_, saved) = try bench.get(11, attr: 100, room: 4)
    #expect(saved == [0x30, 0x20, 0xEE, 0xEE])
    let other = FLICBench()
    try other.set(11, saved)
    try other.set(6, adapter(1, isc: 2))
    try other.set(10, attr: 1)

    #expect(other.flic.suppression == AdapterSuppression(single: 0x30, none: 0x20))
    #expect(other.flic.pendingCount == 0)
  }

  @Test func badModesAreInvalid() throws {
    try bench.set(11, [0x30, 0x20])

    #expect(bench.code { () throws(FLICError) in try setMode(8, 0) } == 22)
    #expect(bench.code { () throws(FLICError) in try setMode(1, 2) } == 22)
    #expect(bench.code { () throws(FLICError) in try setMode(1, 0x100) } == 22)
    #expect(bench.code { () throws(FLICError) in try bench.set(9, [1, 0, 0]) } == 14)
    #expect(bench.code { () throws(FLICError) in try bench.set(11, [1]) } == 14)
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(11, attr: 1, room: 2) } == 22
    )
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(11, attr: 2, room: 1) } == 14
    )
    #expect(modes == [0x30, 0x20])
  }

  @Test func withoutTheFacilityThereAreNoModesAndNothingIsSuppressed() throws {
    var configuration = FLICConfiguration()
    configuration.hasSuppression = false
    let bench = FLICBench(configuration)
    try bench.set(6, adapter(1, isc: 4))

    #expect(bench.code { () throws(FLICError) in try bench.set(9, [4, 0, 0, 1]) } == 95)
    #expect(bench.code { () throws(FLICError) in try bench.set(11, [0xFF, 0xFF]) } == 95)
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(11, attr: 2, room: 2) } == 95
    )
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(11, attr: 1, room: 2) } == 22
    )
    for _ in 0..<2 { try bench.set(10, attr: 1) }
    #expect(bench.flic.pendingCount == 2)
  }

  @Test func aSubclassThatThereIsNotIsTakenModuloEight() throws {
    try register(adapter(1, isc: 0xFF))
    try bench.set(11, [0xFF, 0xFF])

    try inject(1)

    #expect(bench.flic.pendingClasses == .io(isc: 7))
  }
}
