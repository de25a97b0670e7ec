import Interrupts
import Synchronization
import Testing

/// Each group of the interface: what it does, and its error numbers.
@Suite struct FLICGroupTests {
  private let bench = FLICBench()

  private var records: [UInt8] {
    Record.io(7, isc: 3, parameter: 0xABCD_EF01) + Record.virtio(0x11, 0x22_3344)
      + Record.pageFault(0x5566_7788_99AA) + Record.service(0x7FFF_F001)
      + Record.machineCheck(0x0040_0000_0000_0000)
  }

  /// What is in `records`, in the order in which Linux lists it.
  private var listed: [UInt8] {
    Record.io(7, isc: 3, parameter: 0xABCD_EF01) + Record.pageFault(0x5566_7788_99AA)
      + Record.virtio(0x11, 0x22_3344) + Record.service(0x7FFF_F001)
      + Record.machineCheck(0x0040_0000_0000_0000)
  }

  // MARK: Enqueue and list

  @Test func whatIsEnqueuedIsListedByteForByte() throws {
    try bench.enqueue(records)

    #expect(try bench.all() == listed)
    #expect(try bench.all() == listed)
    #expect(bench.flic.pendingCount == 5)
  }

  @Test func theListEndsWithTheLastRecord() throws {
    try bench.enqueue(Record.service(8))

    let (count, bytes) = try bench.get(1, attr: 200, room: 200)

    #expect(count == 1)
    #expect(bytes == Record.service(8) + [UInt8](repeating: 0xEE, count: 128))
  }

  @Test func anEmptyListNeedsSomeLengthAllTheSame() throws {
    #expect(try bench.get(1, attr: 1, room: 0).0 == 0)
    #expect(bench.code { () throws(FLICError) in _ = try bench.get(1, attr: 0, room: 0) } == 22)
  }

  @Test func listingIntoABufferThatIsTooSmallAsksForALargerOne() throws {
    try bench.enqueue(records)

    let code = bench.code { () throws(FLICError) in
      _ = try bench.get(1, attr: 5 * 72 - 1, room: 5 * 72)
    }

    #expect(code == 12)
    #expect(try bench.all() == listed)
  }

  @Test func listingBeyondTheBufferFaults() throws {
    try bench.enqueue(records)

    let code = bench.code { () throws(FLICError) in
      _ = try bench.get(1, attr: 5 * 72, room: 5 * 72 - 1)
    }

    #expect(code == 14)
  }

  @Test func aLengthAboveTheMaximumIsInvalid() throws {
    #expect(try bench.get(1, attr: 0x200_0000, room: 72).0 == 0)
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(1, attr: 0x200_0001, room: 72) } == 22
    )
    // 0x2000010 is the first multiple of 72 above it.
    for attr: UInt64 in [0x200_0010, UInt64(1) << 32, .max, .max - 15] {
      #expect(
        bench.code { () throws(FLICError) in try bench.set(2, attr: attr, records) } == 22,
        "\(attr)"
      )
    }
  }

  @Test(arguments: [1, 71, 73, 143])
  func aLengthThatIsNoMultipleOfARecordIsInvalid(length: UInt64) throws {
    #expect(bench.code { () throws(FLICError) in try bench.set(2, attr: length, records) } == 22)
    #expect(bench.flic.pendingCount == 0)
  }

  @Test func aTruncatedBufferFaultsAndChangesNothing() throws {
    let truncated = Array(records.dropLast())

    #expect(bench.code { () throws(FLICError) in try bench.set(2, attr: 360, truncated) } == 14)
    #expect(bench.code { () throws(FLICError) in try bench.set(2, attr: 72, []) } == 14)
    #expect(bench.flic.pendingCount == 0)
  }

  @Test func noRecordsAreNone() throws {
    try bench.set(2, attr: 0)

    #expect(bench.flic.pendingCount == 0)
  }

  @Test func bytesPastTheLengthDoNotCount() throws {
    try bench.set(2, attr: 72, records)

    #expect(try bench.all() == Array(records.prefix(72)))
  }

  static let strangeTypes: [UInt64] = [
    0xFFFE_0000, 0xFFFE_0001, 0xFFFE_0002, 0xFFFE_0003, 0xFFFE_0004, 0xFFFE_0006, 0xFFFE_0FFF,
    0xFFFE_1001, 0xFFFF_1004, 0xFFFF_1005, 0xFFFF_1201, 0xFFFF_1202, 0xFFFF_2400, 0xFFFF_2604,
    0xFFFF_FFFF, 0x1_0000_0000, 0x8000_0000_0000_0000, .max,
  ]

  @Test(arguments: strangeTypes)
  func atATypeThatDoesNotFloatNothingIsAdded(type: UInt64) throws {
    let strange = Record.external(type, 1, 2)

    #expect(bench.code { () throws(FLICError) in try bench.enqueue(strange) } == 22)
    #expect(bench.code { () throws(FLICError) in try bench.enqueue(records + strange) } == 22)
    #expect(bench.flic.pendingCount == 0)
  }

  @Test(arguments: [UInt64(0), 1, 0x0400_0000, 0xFFFD_FFFF])
  func everyTypeBelowIsIO(type: UInt64) throws {
    let record = Record.io(9, isc: 5, type: type)

    try bench.enqueue(record)

    #expect(try bench.all() == record)
    #expect(bench.flic.pendingClasses == .io(isc: 5))
  }

  @Test func thePaddingOfExternalParametersIsKept() throws {
    var record = Record.virtio(1, 2)
    record[12] = 0xAB

    try bench.enqueue(record)

    #expect(try bench.all() == record)
  }

  @Test func ofAFloatingMachineCheckOnlySubclassAndCodeAreKept() throws {
    var record = Record.machineCheck(cr14: .max, 0x1234)
    for index in 24..<72 { record[index] = 0xAB }

    try bench.enqueue(record)

    #expect(try bench.all() == Record.machineCheck(0x1234))
  }

  @Test func aLittleEndianHostsRecordsAreReadLikewise() throws {
    var configuration = FLICConfiguration()
    configuration.byteOrder = .little
    let bench = FLICBench(configuration)
    let record: [UInt8] =
      big(0xFFFF_2603, 8).reversed() + big(0x1234, 4).reversed() + [0, 0, 0, 0]
      + big(0x5678, 8).reversed() + [UInt8](repeating: 0, count: 48)

    try bench.enqueue(record)

    #expect(bench.flic.pending == [.virtio(.init(0x1234, 0x5678))])
    #expect(try bench.all() == record)
  }

  // MARK: Coalescing

  @Test func serviceEventsAddUpAndTheFirstCommandStands() throws {
    #expect(try bench.flic.enqueue(.serviceSignal(parameter: 0x1000)) == .delivered)
    #expect(try bench.flic.enqueue(.serviceSignal(parameter: 0x2001)) == .coalesced)
    #expect(try bench.flic.enqueue(.serviceSignal(parameter: 0x2)) == .coalesced)

    #expect(try bench.all() == Record.service(0x1003))
  }

  @Test func aCommandJoinsEventsThatCameBefore() throws {
    try bench.enqueue(Record.service(1) + Record.service(0x4FF8))

    #expect(try bench.all() == Record.service(0x4FF9))
  }

  @Test func bitTwentyNineOfAServiceParameterIsNothing() throws {
    try bench.enqueue(Record.service(0x4))

    #expect(try bench.all() == Record.service(0))
    #expect(bench.flic.pendingCount == 1)
  }

  @Test func machineChecksAddUpToOne() throws {
    #expect(try bench.flic.enqueue(.machineCheck(cr14: 1 << 28, code: 0x10)) == .delivered)
    #expect(try bench.flic.enqueue(.machineCheck(cr14: 1 << 27, code: 0x03)) == .coalesced)

    #expect(try bench.all() == Record.machineCheck(0x13))
  }

  @Test func whatWasCoalescedIsForgottenOnceTaken() throws {
    try bench.enqueue(Record.service(0x1003) + Record.machineCheck(0x10))
    _ = bench.flic.dequeue()
    _ = bench.flic.dequeue()

    try bench.enqueue(Record.service(0x2000) + Record.machineCheck(0x01))

    #expect(try bench.all() == Record.service(0x2000) + Record.machineCheck(0x01))
  }

  // MARK: Limits

  private static func small() -> FLICBench {
    var configuration = FLICConfiguration()
    configuration.ioLimit = 3
    configuration.virtioLimit = 2
    configuration.pageFaultLimit = 1
    return FLICBench(configuration)
  }

  @Test func beyondTheLimitNothingOfABatchIsAdded() throws {
    let bench = Self.small()
    try bench.enqueue(Record.io(1, isc: 0) + Record.virtio(1))
    let before = try bench.all()

    for batch in [
      Record.io(2, isc: 1) + Record.io(3, isc: 2) + Record.io(4, isc: 3),
      Record.io(2, isc: 1) + Record.virtio(2) + Record.virtio(3),
      Record.service(8) + Record.pageFault(1) + Record.pageFault(2),
    ] {
      #expect(bench.code { () throws(FLICError) in try bench.enqueue(batch) } == 16)
      #expect(try bench.all() == before)
    }
  }

  @Test func atTheLimitOneMoreIsBusyUntilOneIsTaken() throws {
    let bench = Self.small()
    let full =
      Record.io(1, isc: 0) + Record.io(2, isc: 0) + Record.io(3, isc: 7)
      + Record.pageFault(1) + Record.virtio(1) + Record.virtio(2)
    try bench.enqueue(full)

    for one in [Record.io(4, isc: 4), Record.virtio(3), Record.pageFault(2)] {
      #expect(bench.code { () throws(FLICError) in try bench.enqueue(one) } == 16)
    }
    #expect(try bench.all() == full)

    for _ in 0..<3 { _ = bench.flic.dequeue() }
    try bench.enqueue(Record.virtio(3) + Record.pageFault(2))
    try bench.set(8, attr: 4, big(0x1_0001, 4))
    try bench.enqueue(Record.io(4, isc: 4))
    #expect(bench.flic.pendingCount == 5)
  }

  @Test func theLimitsAreThoseOfLinux() throws {
    let configuration = FLICConfiguration()

    #expect(configuration.ioLimit == 266_250)
    #expect(configuration.virtioLimit == 87_381)
    #expect(configuration.pageFaultLimit == 64 * 255)
  }

  // MARK: Clear

  @Test func clearingDeletesAllThatIsPending() throws {
    try bench.enqueue(records)

    try bench.set(3)

    #expect(bench.flic.pendingCount == 0)
    #expect(bench.flic.pendingClasses == [])
    #expect(try bench.get(1, attr: 72, room: 72).0 == 0)
    try bench.enqueue(records)
    #expect(try bench.all() == listed)
  }

  @Test func oneSubchannelIsClearedOnceAndFromTheLowestSubclass() throws {
    try bench.enqueue(
      Record.io(1, isc: 5) + Record.io(2, isc: 5) + Record.io(2, isc: 5, parameter: 9)
        + Record.io(3, isc: 5) + Record.io(2, isc: 2)
    )

    try bench.set(8, attr: 4, big(0x1_0002, 4))
    #expect(
      try bench.all()
        == Record.io(1, isc: 5) + Record.io(2, isc: 5) + Record.io(2, isc: 5, parameter: 9)
        + Record.io(3, isc: 5)
    )
    try bench.set(8, attr: 4, big(0x1_0002, 4))
    try bench.set(8, attr: 4, big(0x1_0003, 4))
    #expect(try bench.all() == Record.io(1, isc: 5) + Record.io(2, isc: 5, parameter: 9))

    // What follows a removed last one is last.
    try bench.enqueue(Record.io(4, isc: 5))
    try bench.set(8, attr: 4, big(0x1_0001, 4))
    #expect(try bench.all() == Record.io(2, isc: 5, parameter: 9) + Record.io(4, isc: 5))
  }

  @Test func clearingASubchannelThatIsNotPendingIsNoError() throws {
    try bench.enqueue(Record.io(1, isc: 5))

    try bench.set(8, attr: 4, big(0x1_0002, 4))

    #expect(bench.flic.pendingCount == 1)
  }

  @Test func clearingASubchannelTakesItsIdAndNoFlags() throws {
    let id = big(0x1_0002, 4)

    #expect(bench.code { () throws(FLICError) in try bench.set(8, attr: 4, flags: 1, id) } == 22)
    #expect(bench.code { () throws(FLICError) in try bench.set(8, attr: 3, id) } == 22)
    #expect(bench.code { () throws(FLICError) in try bench.set(8, attr: 5, id + [0]) } == 22)
    #expect(bench.code { () throws(FLICError) in try bench.set(8, attr: 4, [1, 2, 3]) } == 14)
    #expect(bench.code { () throws(FLICError) in try bench.set(8, attr: 4, [0, 0, 0, 0]) } == 22)
  }

  // MARK: Page faults

  private final class PageFaults: AsynchronousPageFaults {
    private let seen = Mutex<(flic: FloatingInterruptController?, allowed: [Bool])>((nil, []))

    var allowed: [Bool] { seen.withLock { $0.allowed } }
    func use(_ flic: FloatingInterruptController?) { seen.withLock { $0.flic = flic } }

    func waitUntilDone() {
      guard let flic = seen.withLock({ $0.flic }) else { return }
      let allowed = flic.allowsPageFaults
      seen.withLock { $0.allowed.append(allowed) }
      _ = try? flic.enqueue(.pageFaultDone(.init(0, 0x77)))
    }
  }

  @Test func disablingPageFaultsWaitsForThoseUnderWay() throws {
    let faults = PageFaults()
    var configuration = FLICConfiguration()
    configuration.pageFaults = faults
    let bench = FLICBench(configuration)
    faults.use(bench.flic)
    defer { faults.use(nil) }
    #expect(!bench.flic.allowsPageFaults)

    try bench.set(4)
    #expect(bench.flic.allowsPageFaults)
    #expect(faults.allowed == [])
    try bench.set(5)

    #expect(!bench.flic.allowsPageFaults)
    #expect(faults.allowed == [false])
    #expect(try bench.all() == Record.pageFault(0x77))
  }

  @Test func pageFaultsAreTurnedOnAndOffByThemselves() throws {
    try bench.set(4)
    try bench.set(4)
    #expect(bench.flic.allowsPageFaults)
    try bench.set(5)
    try bench.set(5)
    #expect(!bench.flic.allowsPageFaults)
  }

  // MARK: Unknown

  @Test(arguments: [UInt32(0), 12, 13, 0x8000_0000, .max])
  func anUnknownGroupIsInvalidButAskedForIsNotThere(group: UInt32) {
    #expect(bench.code { () throws(FLICError) in try bench.set(group) } == 22)
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(group, attr: 72, room: 72) } == 22
    )
    #expect(bench.code { () throws(FLICError) in try bench.flic.hasAttribute(group: group) } == 6)
  }

  @Test(arguments: FLICGroup.allCases)
  func everyGroupIsThere(group: FLICGroup) throws {
    try bench.flic.hasAttribute(group: group.rawValue)
  }

  @Test(arguments: [UInt32(2), 3, 4, 5, 6, 7, 8, 9, 10])
  func mostGroupsCannotBeGot(group: UInt32) {
    #expect(
      bench.code { () throws(FLICError) in _ = try bench.get(group, attr: 72, room: 72) } == 22
    )
  }

  @Test func theListCannotBeSet() {
    #expect(bench.code { () throws(FLICError) in try bench.set(1, attr: 72, records) } == 22)
  }

  @Test func everyErrorHasItsNumber() {
    let all: [FLICError] = [
      .exists, .destroyed, .invalid, .badBuffer, .tooSmall, .busy, .noSuchGroup, .unsupported,
      .notPermitted, .empty,
    ]
    #expect(all.map(\.errno) == [22, 19, 22, 14, 12, 16, 6, 95, 1, 61])
  }
}
