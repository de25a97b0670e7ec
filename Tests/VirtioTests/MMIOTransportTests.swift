import DeviceModel
import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct MMIOTransportTests {
  private let memory: GuestMemory
  private let device = EchoDevice(queueSizes: [64, 16])
  private let line = RecordingLine()
  private let doorbells = FakeDoorbells()
  private let transport: MMIOTransport
  private let registers: MMIODriverTransport
  private let driver: MockDriver

  init() throws {
    memory = try GuestMemory(count: 4 << 20)
    transport = try MMIOTransport(
      device,
      at: GuestAddress(0xD000_0000),
      memory: memory,
      line: line,
      doorbells: doorbells,
      logger: RecordedLog().makeLogger()
    )
    registers = MMIODriverTransport(transport)
    driver = MockDriver(registers, in: memory)
  }

  @Test func theWindowIsKnownByItsFirstRegisters() {
    #expect(registers.read(0x00) == 0x7472_6976)
    #expect(registers.read(0x04) == 2)
    #expect(registers.read(0x08) == 42)
    #expect(registers.read(0x0C) == 0x5355_5041)
  }

  @Test func aQueueIsResetByItsRegister() throws {
    try driver.negotiate()
    let queue = try driver.makeQueue(0)
    driver.start()
    try driver.request(0, queue, [.readable(0x100000, 4), .writable(0x200000, 8)])
    #expect(registers.resetQueue(0))
    let again = try driver.makeQueue(0, size: 8)
    let buffers: [MockBuffer] = [.readable(0x100000, 4), .writable(0x200000, 8)]
    #expect(try driver.request(0, again, buffers) == 4)
  }

  @Test func theDriverFindsTheQueues() {
    #expect(registers.maximumSize(of: 0) == 64)
    #expect(registers.maximumSize(of: 1) == 16)
    #expect(registers.maximumSize(of: 2) == 0)
    registers.write(0x1_0000, 0x30)
    #expect(registers.read(0x34) == 0)
  }

  @Test func aRequestGoesThroughTheRegisters() throws {
    try driver.negotiate()
    let queue = try driver.makeQueue(0)
    driver.start()
    #expect(registers.read(0x70) == 15)
    try memory.store32(0xCAFE, at: GuestAddress(0x100000))
    let written = try driver.request(0, queue, [.readable(0x100000, 4), .writable(0x200000, 8)])
    #expect(written == 4)
    #expect(try memory.load32(at: GuestAddress(0x200000)) == 0xCAFE)
  }

  @Test func theLineIsUpFromASignalToItsAcknowledgement() throws {
    try driver.negotiate()
    let queue = try driver.makeQueue(0)
    driver.start()
    try driver.request(0, queue, [.readable(0x100000, 4), .writable(0x200000, 8)])
    try driver.wait { line.isAsserted }
    #expect(registers.read(0x60) == 1)
    transport.controller.signals.configurationChanged()
    #expect(registers.read(0x60) == 3)
    registers.write(1, 0x64)
    #expect(registers.read(0x60) == 2)
    #expect(line.isAsserted)
    registers.write(2, 0x64)
    #expect(registers.read(0x60) == 0)
    #expect(line.isAsserted == false)
  }

  @Test func aResetLowersTheLine() throws {
    try driver.negotiate()
    driver.start()
    transport.controller.signals.configurationChanged()
    #expect(line.isAsserted)
    registers.status = 0
    #expect(line.isAsserted == false)
    #expect(registers.read(0x60) == 0)
  }

  @Test func notificationsAreDoorbellsByQueueNumber() throws {
    #expect(
      doorbells.attached.sorted { $0.value ?? 0 < $1.value ?? 0 } == [
        Doorbell(address: 0xD000_0050, width: 4, value: 0),
        Doorbell(address: 0xD000_0050, width: 4, value: 1),
      ]
    )
    try driver.negotiate()
    let queue = try driver.makeQueue(1)
    driver.start()
    try queue.add([.readable(0x100000, 4), .writable(0x200000, 8)])
    #expect(doorbells.ring(address: 0xD000_0050, width: 4, value: 1))
    #expect(try driver.waitForUsed(queue).written == 4)
    #expect(doorbells.ring(address: 0xD000_0050, width: 4, value: 2) == false)
  }

  @Test func dataBesideTheQueueNumberComesWithoutDoorbellsOnly() throws {
    #expect(registers.deviceFeatures & VirtioFeatures.notificationData.rawValue == 0)
    let memory = try GuestMemory(count: 4 << 20)
    let registers = MMIODriverTransport(
      try MMIOTransport(
        EchoDevice(queueSizes: [64, 16]),
        at: GuestAddress(0xD000_0000),
        memory: memory,
        line: line,
        doorbells: nil,
        logger: RecordedLog().makeLogger()
      )
    )
    let driver = MockDriver(registers, in: memory)
    try driver.negotiate()
    #expect(driver.features.contains(.notificationData))
    let queue = try driver.makeQueue(1)
    driver.start()
    for _ in 0..<20 {
      try queue.add([.readable(0x100000, 4), .writable(0x200000, 8)])
      registers.write(0xFFFF_0001, 0x50)
      #expect(try driver.waitForUsed(queue).written == 4)
    }
    registers.status = 0
  }

  @Test func shuttingDownTakesTheDoorbellsAway() throws {
    try driver.negotiate()
    driver.start()
    try transport.shutDown()
    #expect(doorbells.attached == [])
    #expect(registers.read(0x70) == 0)
  }

  @Test func aDoorbellThatCannotBeHungUpUndoesTheOthers() throws {
    let taken = FakeDoorbells()
    try taken.attach(
      Doorbell(address: 0xE000_0050, width: 4, value: 1),
      to: transport.controller.kicks[0]
    )
    #expect(throws: (any Error).self) {
      _ = try MMIOTransport(
        EchoDevice(queueSizes: [8, 8]),
        at: GuestAddress(0xE000_0000),
        memory: memory,
        line: line,
        doorbells: taken,
        logger: RecordedLog().makeLogger()
      )
    }
    #expect(taken.attached.count == 1)
  }

  @Test(arguments: [1, 2, 8])
  func aRegisterOfAnotherWidthReadsZeroAndIsNotWritten(width: Int) {
    #expect(registers.read(0x00, width: width) == 0)
    registers.write(1, 0x70, width: width)
    #expect(registers.read(0x70) == 0)
  }

  @Test(arguments: [0x01, 0x18, 0x48, 0x74, 0xC0, 0xF8] as [UInt64])
  func anOffsetWithoutARegisterReadsZero(offset: UInt64) {
    registers.write(0xFFFF_FFFF, offset)
    #expect(registers.read(offset) == 0)
  }

  @Test(
    arguments: [0x00, 0x04, 0x08, 0x0C, 0x10, 0x34, 0x60, 0xB0, 0xB4, 0xB8, 0xBC, 0xFC] as [UInt64]
  )
  func aRegisterToReadIsNotWritten(offset: UInt64) {
    let before = registers.read(offset)
    registers.write(~before & 0xFFFF_FFFF, offset)
    #expect(registers.read(offset) == before)
  }

  @Test(
    arguments: [0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64, 0x80, 0x84, 0x90, 0x94, 0xA0, 0xA4]
      as [UInt64]
  )
  func aRegisterToWriteReadsZero(offset: UInt64) {
    registers.write(8, offset)
    #expect(registers.read(offset) == 0)
  }

  @Test func thereIsNoSharedMemory() {
    registers.write(0, 0xAC)
    #expect([0xB0, 0xB4, 0xB8, 0xBC].allSatisfy { registers.read($0) == 0xFFFF_FFFF })
  }

  @Test func theConfigurationFollowsTheRegisters() {
    #expect(registers.read(0x100, width: 1) == 0x11)
    #expect(registers.read(0x102, width: 2) == 0x4433)
    #expect(registers.read(0x104, width: 4) == 0x8877_6655)
    #expect(registers.read(0x108, width: 4) == 0)
    registers.write(7, 0x100, width: 1)
    registers.write(8, 0x1F8, width: 8)
    #expect(device.writes == [7])
  }

  @Test func theGenerationChangesWithTheConfiguration() {
    let before = registers.read(0xFC)
    transport.controller.signals.configurationChanged()
    #expect(registers.read(0xFC) == before + 1)
  }

  @Test func aQueueIsTakenBackBeforeTheStart() throws {
    try driver.negotiate()
    _ = try driver.makeQueue(0)
    registers.write(0, 0x44)
    #expect(registers.read(0x44) == 0)
  }

  @Test func aSizeBeyondSixteenBitsNeedsAReset() throws {
    try driver.negotiate()
    registers.write(0, 0x30)
    registers.write(0x1_0040, 0x38)
    registers.write(1, 0x44)
    #expect(registers.read(0x44) == 0)
    #expect(registers.read(0x70) == 11 | 64)
  }
}
