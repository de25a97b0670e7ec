import GuestMemory
import PCI
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5)))
struct FunctionStateTests {
  @Test(arguments: RingKind.allCases)
  func aQueueGoesOnInAnotherFunctionWhereItStood(ring: RingKind) throws {
    let memory = try GuestMemory(count: 1 << 20)
    let guest = FunctionStateDriver(try FunctionStateRig(EchoDevice(), in: memory), in: memory)
    try guest.driver.negotiate(without: ring.isPacked ? [] : .packedRing)
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    for byte in 1...7 as ClosedRange<UInt8> { #expect(try guest.echo(byte, on: queue) == byte) }
    guest.rig.transport.pause()
    try guest.offer(8, on: queue)
    try guest.driver.kick(0, queue)

    try guest.move(to: FunctionStateRig(EchoDevice(), in: memory))
    let isIdle = try queue.takeUsed() == nil
    guest.rig.transport.resume()

    _ = try guest.driver.waitForUsed(queue)
    #expect(isIdle)
    #expect(try memory.load8(at: GuestAddress(FunctionStateDriver.answer)) == 8)
    for byte in 9...20 as ClosedRange<UInt8> { #expect(try guest.echo(byte, on: queue) == byte) }
    #expect(guest.driver.transport.status == 15)
  }

  @Test func aPausedFunctionGoesOnItself() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let guest = FunctionStateDriver(try FunctionStateRig(EchoDevice(), in: memory), in: memory)
    try guest.driver.negotiate()
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    #expect(try guest.echo(1, on: queue) == 1)

    guest.rig.transport.pause()
    let state = guest.rig.transport.savedState
    guest.rig.transport.resume()

    #expect(state.queues[0].place == VirtqueueState(available: 0x8002, used: 0x8002))
    #expect(try guest.echo(2, on: queue) == 2)
  }

  @Test func everyRegisterIsInTheState() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let rig = try FunctionStateRig(EchoDevice(queueSizes: [64, 32]), in: memory)
    rig.configure(0x6, 0x04, width: 2)
    rig.configure(0x1_E000_0000, 0x10, width: 8)
    rig.configure(0x0B, 0x3C, width: 1)
    rig.write(1, 0x00, width: 4)
    rig.write(0x1234_5678, 0x0C, width: 4)
    rig.write(2, 0x10, width: 2)
    rig.write(1, 0x16, width: 2)
    rig.write(16, 0x18, width: 2)
    rig.write(1, 0x1A, width: 2)
    rig.write(0x1_2345_6000, 0x20, width: 8)
    rig.write(0x7000, 0x28, width: 8)
    rig.write(0x8000, 0x30, width: 8)
    rig.write(3, 0x14, width: 1)
    rig.transport.msix?.write(0xFEE0_1000, 0x4010, width: 8)
    rig.transport.msix?.write(0x31, 0x4018, width: 8)
    let state = rig.transport.savedState

    let other = try FunctionStateRig(EchoDevice(queueSizes: [64, 32]), in: memory)
    try other.transport.restore(VirtioFunctionState(bytes: state.bytes))

    #expect(other.transport.savedState == state)
    #expect(state.queues[1].size == 16 && state.queues[1].vector == 1)
    #expect(other.read(0x18, width: 2) == 16)
    #expect(other.read(0x20, width: 8) == 0x1_2345_6000)
    #expect(other.read(0x10, width: 2) == 2)
    #expect(other.read(0x14, width: 1) == 3)
    #expect(other.read(0x0C, width: 4) == 0x1234_5678)
    #expect(other.transport.readRegisters(0x10, width: 8) == 0x1_E000_0004)
    #expect(other.transport.readRegisters(0x3C, width: 1) == 0x0B)
  }

  @Test func aPendingVectorIsDeliveredByWhoeverUnmasksIt() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let rig = try FunctionStateRig(EchoDevice(), in: memory)
    let table = try #require(rig.transport.msix).tableOffset
    let control = Int(rig.transport.readRegisters(0x34, width: 1)) + 2
    rig.configure(0x8000, control, width: 2)
    rig.transport.msix?.write(0xFEE0_1000, table, width: 8)
    rig.transport.msix?.write(0x1_0000_0031, table + 8, width: 8)
    rig.transport.msix?.signal(0)

    let other = try FunctionStateRig(EchoDevice(), in: memory)
    try other.transport.restore(rig.transport.savedState)
    let before = other.messages.made[0].deliveries.count
    other.transport.msix?.write(0x31, table + 8, width: 8)

    #expect(before == 0)
    #expect(other.messages.made[0].deliveries.map(\.data) == [0x31])
  }

  @Test func anInterruptThatTheDriverHasNotSeenStaysOnThePin() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let guest = FunctionStateDriver(
      try FunctionStateRig(EchoDevice(), in: memory, hasMSIX: false),
      in: memory
    )
    try guest.driver.negotiate()
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    _ = try guest.echo(1, on: queue)
    let first = guest.rig
    #expect(waitUntil { first.line.isAsserted })

    let other = try FunctionStateRig(EchoDevice(), in: memory, hasMSIX: false)
    try guest.move(to: other)

    #expect(other.line.isAsserted)
    #expect(other.read(0x1000, width: 1) == 1)
    #expect(!other.line.isAsserted)
  }

  @Test func aDriverKeepsTheOfferThatItWasGiven() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let features = VirtioFeatures.common.subtracting(.packedRing)
    let old = try FunctionStateRig(EchoDevice(), in: memory, features: features)
    let new = try FunctionStateRig(EchoDevice(), in: memory)

    try new.transport.restore(old.transport.savedState)

    new.write(1, 0x00, width: 4)
    old.write(1, 0x00, width: 4)
    #expect(new.read(0x04, width: 4) == old.read(0x04, width: 4))
    #expect(throws: VirtioStateError.self) {
      try old.transport.restore(FunctionStateRig(EchoDevice(), in: memory).transport.savedState)
    }
  }

  @Test func aQueueOutsideOfMemoryWaitsForOtherMemory() throws {
    let memory = try GuestMemory(count: 1 << 20)
    let guest = FunctionStateDriver(try FunctionStateRig(EchoDevice(), in: memory), in: memory)
    try guest.driver.negotiate()
    let queue = try guest.driver.makeQueue(0, size: 4)
    guest.driver.start()
    let other = try FunctionStateRig(EchoDevice(), in: try GuestMemory(count: 1 << 12))

    try guest.move(to: other)
    other.transport.resume()
    #expect(guest.driver.transport.status == 15)
    other.transport.controller.replaceMemory(with: memory)

    #expect(try guest.echo(1, on: queue) == 1)
  }
}
