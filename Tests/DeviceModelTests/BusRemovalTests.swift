import Glibc
import HostOS
import Synchronization
import TestSupport
import Testing

@testable import DeviceModel

/// What removal and moving promise while accesses are under way, with the process barrier and without.
@Suite(.timeLimit(.minutes(5)), .serialized) struct BusRemovalTests {
  static var barriers: [Bool] { ProcessBarrier.isAvailable ? [true, false] : [false] }

  @Test(arguments: barriers)
  func removalWaitsForAHandlerInProgress(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let (entered, proceed, removed) = (Gate(), Gate(), Gate())
    let device = RecordingDevice(answer: { _ in
      entered.open()
      proceed.wait()
      return 0
    })
    let ticket = try bus.register(device, name: "slow", at: [BusRange(0, size: 8)])
    let reader = try TestThread { _ = BusView(of: bus).read(0, width: 4) }
    entered.wait()
    let remover = try TestThread {
      bus.remove(ticket)
      removed.open()
    }
    usleep(20_000)
    #expect(!removed.isOpen)
    proceed.open()
    remover.join()
    reader.join()
    #expect(removed.isOpen)
  }

  @Test(arguments: barriers)
  func registeringAndMovingDoNotWaitForASlowHandler(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let (entered, proceed) = (Gate(), Gate())
    let device = RecordingDevice(answer: { _ in
      entered.open()
      proceed.wait()
      return 7
    })
    let ticket = try bus.register(device, name: "slow", at: [BusRange(0, size: 8)])
    let reader = try TestThread { _ = BusView(of: bus).read(0, width: 4) }
    entered.wait()
    _ = try bus.register(RecordingDevice(), name: "new", at: [BusRange(0x100, size: 8)])
    try bus.move(ticket, to: 0x200)
    #expect(bus.mappings.map(\.addresses.lowerBound) == [0x100, 0x200])
    proceed.open()
    reader.join()
    #expect(bus.state.withLock { $0.retired.isEmpty })
  }

  @Test(arguments: barriers)
  func fewOfTheTablesThatMovesReplacedAreKept(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let view = BusView(of: bus)
    let device = RecordingDevice()
    let ticket = try bus.register(device, name: "x", at: [BusRange(0, size: 8)])
    for base in 1...UInt64(100) { try bus.move(ticket, to: base * 8) }
    #expect(bus.state.withLock { $0.superseded.count } <= 16)
    bus.remove(ticket)
    #expect(bus.state.withLock { $0.superseded.isEmpty && $0.retired.isEmpty })
    #expect(view.read(800, width: 1) == 0xFF)
  }

  @Test(arguments: barriers)
  func aDeviceCanRemoveItselfAndIsReleasedWhenTheAccessIsOver(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let view = BusView(of: bus)
    let (released, releasedInside) = (Gate(), Gate())
    let ticket = Mutex<BusRegistration?>(nil)
    let removal: @Sendable (BusAccess) -> UInt64 = { _ in
      ticket.withLock { $0 }.map { bus.remove($0) }
      if released.isOpen { releasedInside.open() }
      return 5
    }
    let registration = try bus.register(
      RecordingDevice(answer: removal, onDeinit: released.open),
      name: "leaver",
      at: [BusRange(0, size: 8)]
    )
    ticket.withLock { $0 = registration }
    #expect(view.read(0, width: 1) == 5)
    #expect(!releasedInside.isOpen)
    #expect(released.isOpen)
    #expect(view.read(0, width: 1) == 0xFF)
  }

  @Test(arguments: barriers)
  func aDeviceRemovedFromInsideStaysWhileAnotherThreadIsInIt(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let (entered, proceed, released) = (Gate(), Gate(), Gate())
    let ticket = try bus.register(
      RecordingDevice(
        answer: { _ in
          entered.open()
          proceed.wait()
          return 0
        },
        onDeinit: released.open
      ),
      name: "victim",
      at: [BusRange(0, size: 8)]
    )
    let remover = RecordingDevice(answer: { _ in
      bus.remove(ticket)
      return 0
    })
    let removerTicket = try bus.register(remover, name: "remover", at: [BusRange(0x10, size: 8)])
    let reader = try TestThread { _ = BusView(of: bus).read(0, width: 4) }
    entered.wait()
    let view = BusView(of: bus)
    #expect(view.read(0x10, width: 4) == 0)
    #expect(!released.isOpen)
    #expect(view.read(0, width: 1) == 0xFF)
    proceed.open()
    reader.join()
    #expect(released.isOpen)
    bus.remove(removerTicket)
  }

  @Test(arguments: barriers, [false, true])
  func twoHandlersThatUpdateAtOnceDoNotWaitForOneAnother(
    usesBarrier: Bool,
    crossing: Bool
  ) throws {
    let memory = Bus(.memory, usesProcessBarrier: usesBarrier)
    let ports = Bus(.port, usesProcessBarrier: usesBarrier)
    let buses = crossing ? [memory, ports] : [memory, memory]
    let arrived = Atomic<Int>(0)
    let victims = try [0, 1].map {
      try buses[1 - $0].register(
        RecordingDevice(),
        name: "victim \($0)",
        at: [BusRange(0x100 + UInt64($0) * 16, size: 8)]
      )
    }
    for index in [0, 1] {
      let handler = RecordingDevice(answer: { [unowned bus = buses[1 - index]] _ in
        arrived.add(1, ordering: .acquiringAndReleasing)
        while arrived.load(ordering: .acquiring) < 2 { sched_yield() }
        try? bus.move(victims[index], to: 0x200 + UInt64(index) * 16)
        bus.remove(victims[index])
        return 1
      })
      _ = try buses[index].register(
        handler,
        name: "updater \(index)",
        at: [BusRange(UInt64(index) * 16, size: 8)]
      )
    }
    let threads = try [0, 1].map { index in
      try TestThread { _ = BusView(of: buses[index]).read(UInt64(index) * 16, width: 4) }
    }
    for thread in threads { thread.join() }
    #expect(memory.mappings.count + ports.mappings.count == 2)
    #expect(memory.state.withLock { $0.retired.isEmpty })
    #expect(ports.state.withLock { $0.retired.isEmpty })
  }

  @Test(arguments: barriers)
  func movesInALoopDuringASlowAccessAreAllReclaimedAfterIt(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let (entered, proceed) = (Gate(), Gate())
    let slow = RecordingDevice(answer: { _ in
      entered.open()
      proceed.wait()
      return 0
    })
    _ = try bus.register(slow, name: "slow", at: [BusRange(0, size: 8)])
    let ticket = try bus.register(RecordingDevice(), name: "bar", at: [BusRange(0x1000, size: 8)])
    let mover = RecordingDevice(answer: { [unowned bus] in
      try? bus.move(ticket, to: 0x1000 + $0.offset * 8)
      return 0
    })
    _ = try bus.register(mover, name: "mover", at: [BusRange(0x100, size: 0x120)])
    let reader = try TestThread { _ = BusView(of: bus).read(0, width: 4) }
    entered.wait()
    let view = BusView(of: bus)
    for offset in 0..<UInt64(0x120) { _ = view.read(0x100 + offset, width: 1) }
    #expect(bus.state.withLock { $0.retired.count } > 256)
    proceed.open()
    reader.join()
    #expect(bus.state.withLock { $0.retired.isEmpty })
  }

  @Test(arguments: barriers)
  func aRemovedDeviceIsReleasedAtOnceWhenNobodyIsInside(usesBarrier: Bool) throws {
    let bus = Bus(.memory, usesProcessBarrier: usesBarrier)
    let view = BusView(of: bus)
    let released = Gate()
    let ticket = try bus.register(
      RecordingDevice(onDeinit: released.open),
      name: "x",
      at: [BusRange(0, size: 8)]
    )
    _ = view.read(0, width: 1)
    bus.remove(ticket)
    #expect(released.isOpen)
  }

  @Test func devicesAreReleasedWithTheBus() throws {
    let released = Gate()
    do {
      let bus = Bus()
      let device = RecordingDevice(onDeinit: released.open)
      _ = try bus.register(device, name: "x", at: [BusRange(0, size: 8)])
      _ = BusView(of: bus).read(0, width: 1)
    }
    #expect(released.isOpen)
  }
}
