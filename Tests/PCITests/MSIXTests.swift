import DeviceModel
import Glibc
import HostOS
import PCI
import TestSupport
import Testing

/// A function with 70 vectors, its BAR at 0xE0000000: table at 0x1000, pending bits at 0x3000.
private struct Rig {
  static let table: UInt64 = 0xE000_1000
  static let pending: UInt64 = 0xE000_3000

  let messages = FakeMessageInterrupts()
  let space = FakePCIAddressSpace()
  let bus: PCIRootBus
  let function: RegisterFunction
  let address = PCIAddress(device: 3)

  init(vectors: Int = 70) throws {
    bus = PCIRootBus(in: space)
    function = try RegisterFunction(
      bars: [PCIBAR(0, .memory32(), size: 0x4000)],
      vectors: vectors,
      messages: messages
    )
    try bus.add(function, at: address)
    bus.write(0xE000_0000, address, 0x10, width: 4)
    bus.write(0x2, address, 0x04, width: 2)
  }

  func setControl(_ value: UInt64) { bus.write(value, address, 0x42, width: 2) }

  func program(_ vector: UInt64, isMasked: Bool = false) {
    let entry = Self.table + 16 * vector
    space.write(0xFEE0_1000, entry, width: 4)
    space.write(0, entry + 4, width: 4)
    space.write(0x40 + vector, entry + 8, width: 4)
    mask(vector, isMasked)
  }

  func mask(_ vector: UInt64, _ isMasked: Bool) {
    space.write(isMasked ? 1 : 0, Self.table + 16 * vector + 12, width: 4)
  }

  func signal(_ vector: Int) { function.msix?.trigger(vector)?.signal() }

  func deliveries(_ vector: Int) -> [UInt32] { messages.made[vector].deliveries.map(\.data) }

  var pending: UInt64 { space.read(Self.pending, width: 8) }
}

@Test func theCapabilityNamesTableAndPendingBits() throws {
  let rig = try Rig()

  #expect(rig.bus.read(rig.address, 0x40, width: 4) == 0x0045_0011)
  #expect(rig.bus.read(rig.address, 0x44, width: 4) == 0x1000)
  #expect(rig.bus.read(rig.address, 0x48, width: 4) == 0x3000)
}

@Test func onlyEnableAndFunctionMaskAreWritable() throws {
  let rig = try Rig()

  rig.setControl(0xFFFF)

  #expect(rig.bus.read(rig.address, 0x42, width: 2) == 0xC045)
}

@Test func everyVectorIsMaskedAfterReset() throws {
  let rig = try Rig(vectors: 3)

  let controls = (0..<3).map { (vector: UInt64) in
    rig.space.read(Rig.table + 16 * vector + 12, width: 4)
  }

  #expect(controls == [1, 1, 1])
}

@Test func theTableReadsBackAtBothWidths() throws {
  let rig = try Rig()

  rig.space.write(0x1234_5678_FEE0_1003, Rig.table + 16, width: 8)
  rig.space.write(0x0000_0000_0000_0041, Rig.table + 24, width: 8)

  #expect(rig.space.read(Rig.table + 16, width: 4) == 0xFEE0_1000)
  #expect(rig.space.read(Rig.table + 20, width: 4) == 0x1234_5678)
  #expect(rig.space.read(Rig.table + 24, width: 8) == 0x41)
}

@Test(arguments: [(0, 1), (0, 2), (2, 4), (4, 8), (1, 8)] as [(UInt64, Int)])
func otherWidthsReadZeroAndAreIgnored(offset: UInt64, width: Int) throws {
  let rig = try Rig()
  rig.space.write(0xFEE0_1000, Rig.table, width: 4)

  rig.space.write(.max, Rig.table + offset, width: width)

  #expect(rig.space.read(Rig.table + offset, width: width) == 0)
  #expect(rig.space.read(Rig.table, width: 8) == 0xFEE0_1000)
}

@Test func anUnmaskedVectorDeliversItsMessage() throws {
  let rig = try Rig()
  rig.program(1)
  rig.setControl(0x8000)

  rig.signal(1)

  #expect(
    rig.messages.made[1].deliveries == [InterruptMessage(address: 0xFEE0_1000, data: 0x41)]
  )
  #expect(rig.pending == 0)
}

@Test func aSignalWhileMaskedIsPendingAndDeliveredOnceOnUnmask() throws {
  let rig = try Rig()
  rig.program(1, isMasked: true)
  rig.setControl(0x8000)

  rig.signal(1)
  rig.signal(1)
  #expect(rig.deliveries(1) == [])

  rig.mask(1, false)
  #expect(rig.deliveries(1) == [0x41])
  #expect(rig.pending == 0)
}

@Test func readingThePendingBitsDoesNotLoseTheSignal() throws {
  let rig = try Rig()
  rig.program(1, isMasked: true)
  rig.program(69, isMasked: true)
  rig.setControl(0x8000)
  rig.signal(1)
  rig.signal(69)

  #expect(rig.pending == 1 << 1)
  #expect(rig.pending == 1 << 1)
  #expect(rig.space.read(Rig.pending + 8, width: 4) == 1 << 5)

  rig.mask(1, false)
  rig.mask(69, false)
  #expect(rig.deliveries(1) == [0x41])
  #expect(rig.deliveries(69) == [0x85])
  #expect(rig.space.read(Rig.pending + 8, width: 8) == 0)
}

@Test func thePendingBitsAreReadOnly() throws {
  let rig = try Rig()
  rig.setControl(0x8000)
  rig.signal(0)

  rig.space.write(0, Rig.pending, width: 8)

  #expect(rig.pending == 1)
}

@Test func theFunctionMaskMasksEveryVector() throws {
  let rig = try Rig()
  rig.program(0)
  rig.setControl(0xC000)

  rig.signal(0)
  #expect(rig.deliveries(0) == [])
  #expect(rig.pending == 1)

  rig.setControl(0x8000)
  #expect(rig.deliveries(0) == [0x40])
}

@Test func aDisabledTableHoldsSignalsBack() throws {
  let rig = try Rig()
  rig.program(0)

  rig.signal(0)
  #expect(rig.deliveries(0) == [])

  rig.setControl(0x8000)
  #expect(rig.deliveries(0) == [0x40])
}

@Test func aChangedMessageIsTheOneDelivered() throws {
  let rig = try Rig()
  rig.program(0)
  rig.setControl(0x8000)
  rig.signal(0)

  rig.space.write(0x99, Rig.table + 8, width: 4)
  rig.signal(0)

  #expect(rig.deliveries(0) == [0x40, 0x99])
}

@Test func aVectorThatCannotBeRoutedKeepsItsSignal() throws {
  let rig = try Rig()
  rig.program(0, isMasked: true)
  rig.setControl(0x8000)
  rig.messages.made[0].failToRoute(with: SystemError(call: "route", code: ENOSPC))
  rig.signal(0)

  rig.mask(0, false)
  #expect(rig.deliveries(0) == [])
  rig.messages.made[0].failToRoute(with: nil)
  rig.setControl(0x8000)

  #expect(rig.deliveries(0) == [0x40])
}

@Test func resetForgetsWhatIsPending() throws {
  let rig = try Rig()
  rig.program(0)
  rig.setControl(0xC000)
  rig.signal(0)

  rig.bus.reset()
  #expect(rig.function.msix?.isEnabled == false)
  rig.bus.write(0xE000_0000, rig.address, 0x10, width: 4)
  rig.bus.write(0x2, rig.address, 0x04, width: 2)
  #expect(rig.pending == 0)
  #expect(rig.space.read(Rig.table + 12, width: 4) == 1)
  rig.program(0)
  rig.setControl(0x8000)

  #expect(rig.deliveries(0) == [])
}

@Test func aRemovedFunctionInterruptsNobody() throws {
  let rig = try Rig()
  rig.program(0)
  rig.setControl(0x8000)

  try rig.bus.remove(at: rig.address)
  rig.signal(0)

  #expect(rig.deliveries(0) == [])
  #expect(rig.messages.made[0].message == nil)
}

@Test func anExhaustedAllocatorIsAnError() {
  #expect(throws: SystemError.self) {
    try RegisterFunction(
      bars: [PCIBAR(0, .memory32(), size: 0x4000)],
      vectors: 3,
      messages: FakeMessageInterrupts(limit: 2)
    )
  }
}

@Test func noSignalIsLostWhileAnotherProcessorMasksAndUnmasks() throws {
  let rig = try Rig(vectors: 1)
  rig.program(0)
  rig.setControl(0x8000)
  let masker = try HostOS.Thread("masker") {
    for turn in 0..<2000 {
      rig.mask(0, turn % 2 == 0)
      if turn % 7 == 0 { _ = rig.pending }
    }
  }
  // Each signal must come out before the next is made, as a driver that sleeps until it hears.
  var lost = 0
  for turn in 1...300 {
    rig.signal(0)
    var tries = 0
    while rig.deliveries(0).count < turn, tries < 20000 {
      sched_yield()
      tries += 1
    }
    if rig.deliveries(0).count < turn { lost += 1 }
  }
  masker.join()
  rig.mask(0, false)

  #expect(lost == 0)
  #expect(rig.deliveries(0).count == 300)
}
