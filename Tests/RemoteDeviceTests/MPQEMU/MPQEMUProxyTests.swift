import DeviceModel
import GuestMemory
import HostOS
import PCI
import Synchronization
import Testing
import TestSupport

@testable import RemoteDevice

/// A function whose device is a scripted remote's, on a bus that a test reads and writes as guests do.
@Suite(.timeLimit(.minutes(5))) struct MPQEMUProxyTests {
  private final class Rig {
    let log = RecordedLog()
    let device: FakeRemoteDevice
    let remote: FakeRemote
    let made: MPQEMUDevice
    let proxy: MPQEMUProxy
    let line = RecordingResampledLine()
    let memory: GuestMemory
    let space = FakePCIAddressSpace()
    let bus: PCIRootBus
    let address = PCIAddress(device: 3)

    init(
      _ generation: MPQEMUGeneration = .current,
      patience: Int = 5000,
      _ answer: ((FakeRemoteDevice) -> FakeRemote.Answer)? = nil
    ) throws {
      let device = FakeRemoteDevice(generation)
      self.device = device
      let chosen: FakeRemote.Answer =
        if let answer { answer(device) } else { { device.answer($0) } }
      remote = try FakeRemote(generation, chosen)
      made = try MPQEMUDevice(
        MPQEMURemote(.socket(remote.path), generation: generation, patience: patience),
        name: "remote0",
        logger: log.makeLogger()
      )
      memory = try GuestMemory([(GuestAddress(0), 0x400000), (GuestAddress(1 << 32), 0x100000)])
      proxy = try MPQEMUProxy(
        made,
        RemoteWiring(
          memory: memory,
          line: line,
          messages: FakeMessageInterrupts(),
          doorbells: FakeDoorbells()
        )
      )
      bus = PCIRootBus(in: space)
      var allocator = PCIResourceAllocator(
        memory32: PCIWindow(base: 0xC000_0000, size: 0x1000_0000),
        memory64: PCIWindow(base: 0x1_0000_0000, size: 0x1_0000_0000),
        ports: PCIWindow(base: 0xC000, size: 0x1000)
      )
      try allocator.assign(to: proxy)
      try bus.add(proxy, at: address)
      _ = bus.read(address, 0, width: 4)
    }

    func read(_ offset: Int, _ width: Int) -> UInt64 { bus.read(address, offset, width: width) }
    func write(_ value: UInt64, _ offset: Int, _ width: Int) {
      bus.write(value, address, offset, width: width)
    }

    /// The messages since the last time of asking.
    func heard(_ body: () throws -> Void) rethrows -> [MPQEMUMessage] {
      let before = remote.heard.count
      try body()
      return Array(remote.heard.dropFirst(before))
    }
  }

  @Test func theDeviceIsFoundWithItsBARsAndItsPin() throws {
    let rig = try Rig()
    #expect(
      rig.proxy.configuration.bars == [
        PCIBAR(0, .port, size: 256), PCIBAR(1, .memory32(), size: 4096),
        PCIBAR(2, .memory64(prefetchable: true), size: 65536),
      ]
    )
    #expect(rig.proxy.configuration.interruptPin == .a)
    #expect(rig.read(0x00, 4) == 0x0005_1B36)
    // The addresses that were chosen are the remote's.
    #expect(rig.device.register(0x10, 4) == 0xC001)
    #expect(rig.device.register(0x14, 4) == 0xC000_0000)
    #expect(rig.device.register(0x18, 4) == 0x0000_000C)
    #expect(rig.device.register(0x1C, 4) == 1)
    #expect(rig.device.register(0x04, 2) == 0)
  }

  @Test func accessesAreSentWithTheAddressesOfTheBus() throws {
    let rig = try Rig()
    rig.write(7, 0x04, 2)
    let heard = rig.heard {
      rig.space.write(0x1234, 0xC000_0010, width: 4)
      rig.space.write(0x56, 0xC004, width: 1, in: .port)
      rig.space.write(0x1122_3344_5566_7788, 0x1_0000_0008, width: 8)
    }
    func write(_ address: UInt64, _ value: UInt64, _ width: UInt32, _ isMemory: Bool)
      -> MPQEMUMessage
    {
      .writeBAR(MPQEMUBARAccess(address: address, value: value, width: width, isMemory: isMemory))
    }
    #expect(
      heard == [
        write(0xC000_0010, 0x1234, 4, true), write(0xC004, 0x56, 1, false),
        write(0x1_0000_0008, 0x5566_7788, 4, true), write(0x1_0000_000C, 0x1122_3344, 4, true),
      ]
    )
    #expect(rig.space.read(0xC000_0010, width: 4) == 0x1234)
    #expect(rig.space.read(0x1_0000_0008, width: 8) == 0x1122_3344_5566_7788)
  }

  @Test func theOldGenerationIsReadByBytes() throws {
    let rig = try Rig(.v8)
    rig.write(7, 0x04, 2)
    let heard = rig.heard { _ = rig.space.read(0xC000_0010, width: 4) }
    #expect(heard.filter { $0.command == .readBAR }.count == 4)
  }

  @Test func theOldGenerationHearsAHeartbeat() throws {
    let rig = try Rig(.v8)
    #expect(waitUntil { rig.remote.heard.filter { $0 == .ping }.count >= 2 })
    #expect(rig.made.isAlive)
  }

  @Test func nothingIsAskedThatAQEMURemoteEndsFor() throws {
    let rig = try Rig()
    rig.write(7, 0x04, 2)
    let heard = rig.heard {
      for offset in 0xF8..<0x108 {
        for width in [1, 2, 4, 8] {
          _ = rig.read(offset, width)
          rig.write(.max, offset, width)
        }
      }
      _ = rig.space.read(0xC000_0FFC, width: 8)
      rig.write(0, 0x04, 2)
      // As if another processor were in the middle of an access.
      _ = rig.proxy.readBAR(BusAccess(region: 1, offset: 0, width: 4))
      rig.proxy.writeBAR(0, BusAccess(region: 1, offset: 0, width: 4))
      rig.write(7, 0x04, 2)
      _ = rig.proxy.readBAR(BusAccess(region: 1, offset: 0xFFE, width: 4))
      _ = rig.proxy.readBAR(BusAccess(region: 5, offset: 0, width: 4))
      _ = rig.read(0x100, 4)
      _ = rig.read(0xFFF, 1)
    }
    for message in heard {
      switch message {
      case .readConfiguration(let access), .writeConfiguration(let access):
        #expect(access.address <= 252 && [1, 2, 4].contains(access.width), "\(access)")
      case .readBAR(let access), .writeBAR(let access):
        #expect((0xC000_0000..<0xC000_1000).contains(access.address), "\(access)")
      default: Issue.record("\(message)")
      }
    }
    #expect(heard.filter { $0.command == .writeBAR }.isEmpty)
  }

  @Test func theLastRegistersAreReachedThroughTheirDoubleword() throws {
    let rig = try Rig()
    rig.write(0x4433_2211, 0xFC, 4)
    #expect(rig.read(0xFD, 1) == 0x22)
    #expect(rig.read(0xFE, 2) == 0x4433)
    rig.write(0xAA, 0xFF, 1)
    #expect(rig.read(0xFC, 4) == 0xAA33_2211)
    #expect(rig.read(0x100, 4) == 0xFFFF_FFFF)
  }

  @Test func aGuestFindsNoROM() throws {
    let rig = try Rig()
    rig.write(0xFFFF_FFFE, 0x30, 4)
    #expect(rig.read(0x30, 4) == 0)
    #expect(rig.device.register(0x30, 4) == 0)
  }

  /// As QEMU's is at the end of its start, whichever question it is at.
  @Test(arguments: [1, 2, 3, 10, 15, 17, 20, 25])
  func aRemoteThatIsResetWhileItIsAskedIsFoundWhole(question: Int) throws {
    let count = Atomic(0)
    let rig = try Rig { device in
      { message in
        if count.add(1, ordering: .relaxed).newValue == question { device.reset() }
        return device.answer(message)
      }
    }
    #expect(rig.proxy.configuration.bars.map(\.size) == [0x100, 0x1000, 0x10000])
    #expect(rig.read(0x3C, 1) == 0)
    let bar = UInt64(0x10)
    #expect(rig.read(Int(bar), 4) == rig.device.register(Int(bar), 4))
    #expect(rig.read(Int(bar), 4) & ~0xFF != 0)
  }

  @Test func aResetPutsTheHeaderBack() throws {
    let rig = try Rig()
    rig.write(0xC800_0000, 0x14, 4)
    rig.write(7, 0x04, 2)
    rig.write(11, 0x3C, 1)
    #expect(rig.space.read(0xC800_0000, width: 4) != 0xFFFF_FFFF)
    let heard = rig.heard { rig.bus.reset() }
    #expect(heard.filter { $0 == .reset }.count == 1)
    #expect(rig.device.register(0x14, 4) == 0xC000_0000)
    #expect(rig.device.register(0x04, 2) == 0)
    #expect(rig.read(0x14, 4) == 0xC000_0000)
    #expect(rig.space.read(0xC800_0000, width: 4) == 0xFFFF_FFFF)
  }

  @Test func memoryAndEventfdsAreHandedOver() throws {
    let rig = try Rig()
    #expect(waitUntil { rig.remote.received.count == 4 })
    #expect(
      rig.remote.heard.contains(
        .syncMemory(
          rig.memory.regions.map {
            MPQEMURegion(address: $0.start.rawValue, size: $0.count, offset: $0.fileOffset)
          }
        )
      )
    )
    let theirs = EventFD(
      adopting: try OwnedFileDescriptor(duplicating: rig.remote.received[2].rawValue)
    )
    theirs.signal()
    #expect(rig.line.events?.event.drain() == 1)
  }

  @Test func aBoardThatEndsTakesAllOfItBack() throws {
    let rig = try Rig()
    rig.write(7, 0x04, 2)
    let heard = rig.heard { rig.proxy.stop() }
    #expect(rig.line.events == nil)
    #expect(heard.contains(.reset))
    #expect(heard.contains(.syncMemory([MPQEMURegion(address: 0, size: 4096, offset: 0)])))
    #expect(rig.remote.received.count == 7)
    #expect(rig.device.register(0x04, 2) == 0)
    // The next board's function is the same device.
    let next = RecordingResampledLine()
    let function = try rig.made.makeFunction(
      RemoteWiring(
        memory: rig.memory,
        line: next,
        messages: FakeMessageInterrupts(),
        doorbells: FakeDoorbells()
      )
    )
    #expect(next.events != nil)
    #expect(function.configuration.bars == rig.proxy.configuration.bars)
    #expect(rig.made.isAlive)
  }

  /// What a remote may do wrong, and what is said of it.
  struct Fault: Sendable, CustomTestStringConvertible {
    let line: String
    let answer: @Sendable (MPQEMUMessage, FakeRemoteDevice) -> [UInt8]?
    var testDescription: String { line }
  }

  private static func faulty(
    _ line: String,
    _ bytes: @escaping @Sendable () -> [UInt8]?
  ) -> Fault {
    Fault(line: line) { message, device in
      guard case .readBAR = message else { return device.answer(message) }
      return bytes()
    }
  }

  static let faults = [
    faulty("the connection was closed") { nil },
    faulty("BAR_READ was not answered within 200 ms") { [] },
    faulty("SYNC_SYSMEM with 0 descriptors") {
      MPQEMUMessage.syncMemory([]).bytes(in: .current)
    },
    faulty("DEVICE_RESET, which only the other side sends") {
      MPQEMUMessage.reset.bytes(in: .current)
    },
    faulty("unknown command 77") { MPQEMUHeader(command: 77, second: 0, size: 0).bytes },
    faulty("RET with 4 bytes of payload, not 0 or 8") {
      MPQEMUHeader(command: 1, second: 0, size: 4).bytes + [0, 0, 0, 0]
    },
    faulty("command 1 has 18446744073709551615 bytes") {
      [1, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8)
    },
  ]

  @Test(arguments: faults) func aRemoteThatFailsReadsAsOnes(fault: Fault) throws {
    let rig = try Rig(patience: 200) { device in { fault.answer($0, device) } }
    rig.write(7, 0x04, 2)
    #expect(rig.line.events != nil)
    #expect(rig.space.read(0xC000_0000, width: 4) == 0xFFFF_FFFF)
    #expect(rig.space.read(0xC000_0000, width: 8) == .max)
    rig.space.write(1, 0xC000_0000, width: 4)
    #expect(rig.read(0x00, 4) == 0xFFFF_FFFF)
    // The bus goes on as the guest has it.
    rig.write(0, 0x04, 2)
    #expect(rig.space.read(0xC000_0000, width: 4) == 0xFFFF_FFFF)
    rig.bus.reset()
    #expect(!rig.made.isAlive)
    // Another thread may have found it, and not be done yet.
    let isDisconnected = waitUntil { rig.line.events == nil }
    #expect(isDisconnected)
    #expect(rig.log.notices.count == 1)
    #expect(rig.log.notices.first?.contains(fault.line) == true, "\(rig.log.notices)")
    #expect(rig.log.notices.first?.contains("read as ones") == true)
  }

  @Test func aRemoteThatGoesAwayByItselfIsNoticed() throws {
    let rig = try Rig { device in
      { message in
        guard case .writeBAR = message else { return device.answer(message) }
        return MPQEMUMessage.reply(0).bytes(in: .current)
      }
    }
    rig.remote.hangUp()
    #expect(waitUntil { rig.line.events == nil })
    #expect(rig.log.notices.count == 1)
    #expect(rig.read(0, 4) == 0xFFFF_FFFF)
  }

  @Test(arguments: [
    ("there is no device", 0x00, UInt64(0xFFFF)), ("there is no device", 0x00, 0),
    ("header is of type 1", 0x0E, 0x81), ("BAR 1 has the address bits", 0x14, 0xFF00_F000),
    ("BAR 0 has the address bits", 0x10, 0xF001),
  ]) func whatIsNoDeviceIsRefused(line: String, register: UInt32, value: UInt64) throws {
    let device = FakeRemoteDevice()
    let remote = try FakeRemote { message in
      if case .readConfiguration(let access) = message, access.address == register {
        return MPQEMUMessage.reply(value).bytes(in: .current)
      }
      return device.answer(message)
    }
    let error = #expect(throws: MPQEMUProxyError.self) {
      try MPQEMUDevice(
        MPQEMURemote(.socket(remote.path)),
        name: "remote0",
        logger: RecordedLog().makeLogger()
      )
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains(line))
  }
}
