import Interrupts
import Testing

/// What a processor takes, when, and what is in its lowcore then.
@Suite struct FLICDeliveryTests {
  private static let open: UInt64 = 0x0304_0000_0000_0000
  private static let externalMask: UInt64 = 0x0100_0000_0000_0000
  private static let ioMask: UInt64 = 0x0200_0000_0000_0000
  private static let machineCheckMask: UInt64 = 0x0004_0000_0000_0000

  private let flic = FLICBench().flic

  /// A processor that is open for all, and closed after any interruption.
  private func makeProcessor(_ mask: UInt64 = open) -> S390Processor {
    var processor = S390Processor()
    processor.psw = ProgramStatusWord(mask: mask | 0x1_8000_0000, address: 0x1234_5678)
    processor.control[0] = 0x200
    processor.control[6] = 0xFF00_0000
    processor.control[14] = 0x1000_0000
    processor.lowcore.store(ProgramStatusWord(mask: 0xE, address: 0xE0), at: 0x1B0)
    processor.lowcore.store(ProgramStatusWord(mask: 0xC, address: 0xC0), at: 0x1E0)
    processor.lowcore.store(ProgramStatusWord(mask: 0xA, address: 0xA0), at: 0x1F0)
    return processor
  }

  private static let samples: [FloatingInterrupt] = [
    .machineCheck(cr14: 1 << 28, code: 0x0040_0F1D_403B_0000),
    .serviceSignal(parameter: 0x1001), .pageFaultDone(.init(7, 0x99)), .virtio(.init(8, 0x88)),
    .io(IOInterrupt(subchannel: 5, isc: 0)), .io(IOInterrupt(subchannel: 5, isc: 3)),
    .io(IOInterrupt(subchannel: 5, isc: 7)), .io(IOInterrupt(adapterOf: 6)),
  ]

  // MARK: Masks

  @Test(arguments: samples)
  func anOpenProcessorTakesIt(interrupt: FloatingInterrupt) throws {
    var processor = makeProcessor()
    try flic.enqueue(interrupt)

    #expect(processor.canTake(interrupt.interruptClass))
    #expect(flic.hasInterrupt(for: processor.window))
    #expect(flic.deliverNext(to: &processor) == interrupt)
    #expect(flic.pendingCount == 0)
    #expect(!flic.hasInterrupt(for: makeProcessor().window))
  }

  @Test(arguments: samples)
  func thePSWHoldsItBack(interrupt: FloatingInterrupt) throws {
    let mask: UInt64 =
      switch interrupt {
      case .machineCheck: Self.machineCheckMask
      case .serviceSignal, .pageFaultDone, .virtio: Self.externalMask
      case .io: Self.ioMask
      }
    var closed = makeProcessor(Self.open & ~mask)
    var only = makeProcessor(mask)
    try flic.enqueue(interrupt)

    #expect(!closed.canTake(interrupt.interruptClass))
    #expect(flic.deliverNext(to: &closed) == nil)
    #expect(closed.psw.address == 0x1234_5678)
    #expect(flic.deliverNext(to: &only) == interrupt)
  }

  @Test(arguments: samples)
  func theSubclassMaskHoldsItBack(interrupt: FloatingInterrupt) throws {
    var closed = makeProcessor()
    var only = makeProcessor()
    only.control = InlineArray(repeating: 0)
    switch interrupt {
    case .machineCheck:
      closed.control[14] = ~0x1000_0000
      only.control[14] = 0x1000_0000
    case .serviceSignal, .pageFaultDone, .virtio:
      closed.control[0] = ~0x200
      only.control[0] = 0x200
    case .io(let io):
      closed.control[6] = ~(0x8000_0000 >> UInt64(io.isc))
      only.control[6] = 0x8000_0000 >> UInt64(io.isc)
    }
    try flic.enqueue(interrupt)

    #expect(!closed.canTake(interrupt.interruptClass))
    #expect(!flic.hasInterrupt(for: closed.window))
    #expect(flic.deliverNext(to: &closed) == nil)
    #expect(only.canTake(interrupt.interruptClass))
    #expect(flic.deliverNext(to: &only) == interrupt)
  }

  @Test(arguments: samples)
  func aStoppedProcessorTakesNothing(interrupt: FloatingInterrupt) throws {
    var processor = makeProcessor()
    processor.isStopped = true
    try flic.enqueue(interrupt)

    #expect(flic.deliverPending(to: &processor) == 0)
    #expect(processor.activity == .stopped)
    #expect(flic.pendingCount == 1)
  }

  @Test func aMachineCheckOfNoFloatingSubclassIsNeverTaken() throws {
    var processor = makeProcessor()
    processor.control[14] = .max
    try flic.enqueue(.machineCheck(cr14: 1 << 27, code: 1))

    #expect(flic.deliverNext(to: &processor) == nil)
    #expect(flic.pendingCount == 1)
  }

  @Test func aWaitingProcessorIsIdleUntilItTakesSomething() throws {
    var processor = makeProcessor(Self.open | 0x0002_0000_0000_0000)
    #expect(processor.activity == .idle)
    try flic.enqueue(.serviceSignal(parameter: 8))

    flic.deliverNext(to: &processor)

    #expect(processor.activity == .running)
  }

  // MARK: Storage

  /// What `interrupt` changes in a lowcore of 0xFF (but for the new PSWs), by address.
  private func changes(_ interrupt: FloatingInterrupt, _ processor: S390Processor) throws -> [Int:
    [UInt8]]
  {
    var processor = processor
    for offset in stride(from: 0, to: 8192, by: 8) where !(0x1B0..<0x200).contains(offset) {
      processor.lowcore.store(UInt64.max, at: offset)
    }
    let before = processor.lowcore.bytes
    try flic.enqueue(interrupt)
    #expect(flic.deliverPending(to: &processor) == 1)

    let after = processor.lowcore.bytes
    var changes: [Int: [UInt8]] = [:]
    var start = 0
    for index in after.indices {
      if after[index] == before[index] { continue }
      if index > 0, after[index - 1] != before[index - 1] {
        changes[start]?.append(after[index])
      } else {
        start = index
        changes[index] = [after[index]]
      }
    }
    return changes
  }

  private let oldPSW = big(0x0304_0001_8000_0000, 8) + big(0x1234_5678, 8)

  @Test func aServiceSignalStoresItsParameter() throws {
    let changes = try changes(.serviceSignal(parameter: 0x0012_3451), makeProcessor())

    #expect(
      changes == [0x80: big(0x0012_3451, 4) + big(0, 2) + big(0x2401, 2), 0x130: oldPSW]
    )
  }

  @Test func aCompletedPageFaultStoresItsToken() throws {
    let changes = try changes(.pageFaultDone(.init(0, 0x1122_3344_5566_7788)), makeProcessor())

    #expect(
      changes == [
        0x84: big(0x0680, 2) + big(0x2603, 2), 0x130: oldPSW,
        0x11B8: big(0x1122_3344_5566_7788, 8),
      ]
    )
  }

  @Test func aVirtioInterruptStoresBothParameters() throws {
    let changes = try changes(.virtio(.init(0x0203, 0x1122_3344_5566_7788)), makeProcessor())

    #expect(
      changes == [
        0x80: big(0x0203, 4) + big(0x0D00, 2) + big(0x2603, 2), 0x130: oldPSW,
        0x11B8: big(0x1122_3344_5566_7788, 8),
      ]
    )
  }

  @Test func anIOInterruptionStoresItsCode() throws {
    let interrupt = IOInterrupt(
      subchannel: 0x1234,
      set: 2,
      css: 0xFE,
      isc: 5,
      parameter: 0x0403_0201
    )

    let changes = try changes(.io(interrupt), makeProcessor())

    #expect(
      changes == [
        0xB8: big(0xFE05, 2) + big(0x1234, 2) + big(0x0403_0201, 4) + big(0x2800_0000, 4),
        0x170: oldPSW,
      ]
    )
    #expect(interrupt.type == 0x1234 | 2 << 16 | 0xFE << 18)
  }

  @Test func anAdapterInterruptionHasNoSubchannel() throws {
    let changes = try changes(.io(IOInterrupt(adapterOf: 3)), makeProcessor())

    #expect(changes == [0xB8: big(0, 8) + big(0x9800_0000, 4), 0x170: oldPSW])
  }

  @Test func aMachineCheckStoresItsCodeAndTheRegisters() throws {
    var processor = makeProcessor()
    for index in 0..<16 {
      let value = 0x0101_0101_0101_0101 * UInt64(index + 1)
      processor.general[index] = value
      processor.floatingPoint[index] = value + 0x1000
      processor.access[index] = UInt32(truncatingIfNeeded: value)
      if ![0, 6, 14].contains(index) { processor.control[index] = value + 0x2000 }
    }
    processor.floatingPointControl = 0x00F8_0001
    processor.todProgrammable = 0x0000_4321
    processor.cpuTimer = 0x1111_2222_3333_4444
    processor.clockComparator = 0x5555_6666_7777_8888
    let saved = processor
    let code: UInt64 = 0x0050_0F7D_4C3B_0000
    try flic.enqueue(.machineCheck(cr14: 1 << 28, code: code))

    #expect(flic.deliverPending(to: &processor) == 1)

    let lowcore = processor.lowcore
    #expect(lowcore.bytes[0xA3] == 1)
    // Vector registers and guarded storage are not there, so not valid.
    #expect(lowcore.load(UInt64.self, at: 0xE8) == code & ~(1 << 38 | 1 << 27))
    #expect(lowcore.load(UInt32.self, at: 0xF4) == 0)
    #expect(lowcore.load(UInt64.self, at: 0xF8) == 0)
    #expect(lowcore.psw(at: 0x160) == saved.psw)
    #expect(processor.psw == ProgramStatusWord(mask: 0xC, address: 0xC0))
    for index in 0..<16 {
      #expect(lowcore.load(UInt64.self, at: 0x1200 + 8 * index) == saved.floatingPoint[index])
      #expect(lowcore.load(UInt64.self, at: 0x1280 + 8 * index) == saved.general[index])
      #expect(lowcore.load(UInt32.self, at: 0x1340 + 4 * index) == saved.access[index])
      #expect(lowcore.load(UInt64.self, at: 0x1380 + 8 * index) == saved.control[index])
    }
    #expect(lowcore.psw(at: 0x1300) == ProgramStatusWord())
    #expect(lowcore.load(UInt32.self, at: 0x131C) == 0x00F8_0001)
    #expect(lowcore.load(UInt32.self, at: 0x1324) == 0x0000_4321)
    #expect(lowcore.load(UInt64.self, at: 0x1328) == 0x1111_2222_3333_4444)
    #expect(lowcore.load(UInt64.self, at: 0x1330) == 0x0055_5566_6677_7788)
  }

  @Test func eachKindHasItsOwnNewPSW() throws {
    let expected: [(FloatingInterrupt, UInt64)] = [
      (.serviceSignal(parameter: 8), 0xE0), (.virtio(.init()), 0xE0),
      (.pageFaultDone(.init()), 0xE0), (.io(IOInterrupt(subchannel: 1, isc: 1)), 0xA0),
      (.machineCheck(cr14: 1 << 28, code: 1), 0xC0),
    ]
    for (interrupt, address) in expected {
      var processor = makeProcessor()
      try flic.enqueue(interrupt)
      flic.deliverPending(to: &processor)
      #expect(processor.psw.address == address)
    }
  }

  // MARK: Priority

  @Test func theyAreTakenByPriorityAndThenByAge() throws {
    for number in 1...2 as ClosedRange<UInt16> {
      for isc in (0..<8 as Range<UInt8>).reversed() {
        try flic.enqueue(.io(IOInterrupt(subchannel: number, isc: isc)))
      }
      try flic.enqueue(.virtio(.init(UInt32(number))))
      try flic.enqueue(.pageFaultDone(.init(UInt32(number))))
    }
    try flic.enqueue(.serviceSignal(parameter: 8))
    try flic.enqueue(.machineCheck(cr14: 1 << 28, code: 1))
    var expected: [FloatingInterrupt] = [
      .machineCheck(cr14: 1 << 28, code: 1), .serviceSignal(parameter: 8),
      .pageFaultDone(.init(1)), .pageFaultDone(.init(2)), .virtio(.init(1)), .virtio(.init(2)),
    ]
    for isc in 0..<8 as Range<UInt8> {
      for number in 1...2 as ClosedRange<UInt16> {
        expected.append(.io(IOInterrupt(subchannel: number, isc: isc)))
      }
    }

    var taken: [FloatingInterrupt] = []
    while true {
      var processor = makeProcessor()
      guard let interrupt = flic.deliverNext(to: &processor) else { break }
      taken.append(interrupt)
    }

    #expect(taken == expected)
  }

  @Test func aMaskedClassLetsTheNextBy() throws {
    try flic.enqueue(.machineCheck(cr14: 1 << 28, code: 1))
    try flic.enqueue(.serviceSignal(parameter: 8))
    try flic.enqueue(.io(IOInterrupt(subchannel: 1, isc: 2)))
    try flic.enqueue(.io(IOInterrupt(subchannel: 2, isc: 6)))
    var processor = makeProcessor()
    processor.control[0] = 0
    processor.control[6] = 0x0200_0000
    processor.control[14] = 0

    #expect(flic.deliverNext(to: &processor) == .io(IOInterrupt(subchannel: 2, isc: 6)))
  }

  @Test func ofSeveralTheHandlerOfTheLastRunsFirst() throws {
    var processor = makeProcessor()
    processor.lowcore.store(
      ProgramStatusWord(mask: Self.ioMask | Self.externalMask, address: 0xC0),
      at: 0x1E0
    )
    processor.lowcore.store(ProgramStatusWord(mask: Self.ioMask, address: 0xE0), at: 0x1B0)
    let before = processor.psw
    try flic.enqueue(.io(IOInterrupt(subchannel: 1, isc: 2)))
    try flic.enqueue(.io(IOInterrupt(subchannel: 2, isc: 2)))
    try flic.enqueue(.serviceSignal(parameter: 8))
    try flic.enqueue(.machineCheck(cr14: 1 << 28, code: 1))

    #expect(flic.deliverPending(to: &processor) == 3)

    #expect(processor.psw.address == 0xA0)
    #expect(processor.lowcore.psw(at: 0x170).address == 0xE0)
    #expect(processor.lowcore.psw(at: 0x130).address == 0xC0)
    #expect(processor.lowcore.psw(at: 0x160) == before)
    #expect(processor.lowcore.load(UInt16.self, at: 0xBA) == 1)
    #expect(flic.pendingCount == 1)
  }

  @Test func aNewPSWThatMasksNothingTakesAllThatIsPending() throws {
    var processor = makeProcessor()
    processor.lowcore.store(ProgramStatusWord(mask: Self.open, address: 0xA0), at: 0x1F0)
    for number in 0..<1000 as Range<UInt16> {
      try flic.enqueue(.io(IOInterrupt(subchannel: number, isc: 2)))
    }

    #expect(flic.deliverPending(to: &processor) == 1000)
    #expect(processor.lowcore.load(UInt16.self, at: 0xBA) == 999)
  }
}
