import Glibc
import GuestMemory
import HostOS
import RemoteDevice
import TestSupport
import Testing
import Virtio

/// Devices that another process serves, with our own back end at the other end.
@Suite(.timeLimit(.minutes(10))) struct VhostUserRemoteTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "socket")
  }

  private func makeDisk(_ name: String = "disk", byte: UInt8 = 0, queueCount: Int = 1) throws
    -> Block
  {
    let content = (0..<64).flatMap { sector in
      [UInt8](repeating: UInt8(truncatingIfNeeded: sector) &+ byte, count: 512)
    }
    let file = try folder.file(name, content)
    return Block(
      try DiskImage(opening: file, readOnly: false),
      name: "disk",
      options: Block.Options(queueCount: queueCount)
    )
  }

  @Test(arguments: [[], .packedRing, .eventIndex, [.packedRing, .eventIndex]] as [VirtioFeatures])
  func aDiskIsReadAndInterrupts(without: VirtioFeatures) throws {
    let served = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    try rig.start(without: without)

    for sector in 0..<20 { #expect(try rig.readSector(UInt64(sector)) == UInt8(sector)) }

    #expect(waitUntil { rig.interrupts.count(of: 0) > 0 })
    #expect(rig.controller.readConfiguration(offset: 0, width: 8) == 64)
    #expect(rig.log.notices == [])
    withExtendedLifetime(served) {}
  }

  @Test func aVectorOfTheGuestIsSignalledByTheBackEndItself() throws {
    let served = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    let (first, second) = (try EventFD(), try EventFD())
    rig.interrupts.setTrigger(first, ofQueue: 0)
    try rig.start(without: .eventIndex)
    #expect(try rig.readSector(1) == 1)
    #expect(waitUntil { first.drain() > 0 })
    #expect(rig.interrupts.count(of: 0) == 0)

    rig.interrupts.setTrigger(second, ofQueue: 0)
    // What may have been lost meanwhile is told once more.
    #expect(waitUntil { rig.interrupts.count(of: 0) == 1 })
    first.drain()
    #expect(try rig.readSector(2) == 2)
    #expect(waitUntil { second.drain() > 0 })
    #expect(first.drain() == 0)

    rig.interrupts.setTrigger(nil, ofQueue: 0)
    // Once by us and once by the back end, which the thread may find as one or as two.
    #expect(waitUntil { rig.interrupts.count(of: 0) >= 2 })
    #expect(try rig.readSector(3) == 3)
    #expect(waitUntil { rig.interrupts.count(of: 0) > 2 })
    withExtendedLifetime(served) {}
  }

  @Test func aDiskHasAsManyQueuesAsAreWantedAndItHas() throws {
    let served = try ServedDevice(makeDisk(queueCount: 4), at: path)
    let rig = try RemoteRig(.block, at: path, queueLimit: 3)

    #expect(rig.controller.queueCount == 3)
    #expect(rig.controller.readConfiguration(offset: 34, width: 2) == 3)
    withExtendedLifetime(served) {}
  }

  @Test(arguments: [[], .packedRing] as [VirtioFeatures])
  func anotherBackEndGoesOn(without: VirtioFeatures) throws {
    var served: ServedDevice? = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    try rig.start(without: without)
    for round in 0..<5 {
      for sector in 0..<3 { #expect(try rig.readSector(UInt64(sector + round)) != nil) }
      served = nil
      #expect(rig.waitForLine("back end gone"))
      served = try ServedDevice(makeDisk("disk\(round)", byte: 100), at: path)
      #expect(try rig.readSector(2) == 102)
    }
    withExtendedLifetime(served) {}
  }

  @Test func requestsWaitWhileNobodyServesThem() throws {
    var served: ServedDevice? = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    served = nil
    let queue = try rig.start()
    try rig.memory.store64(0, at: GuestAddress(0x200000))
    try rig.memory.store64(5, at: GuestAddress(0x200008))
    try queue.add([.readable(0x200000, 16), .writable(0x210000, 512), .writable(0x200100, 1)])
    try rig.driver.kick(0, queue)

    served = try ServedDevice(makeDisk("other", byte: 9), at: path)

    _ = try rig.driver.waitForUsed(queue)
    #expect(try rig.memory.load8(at: GuestAddress(0x210000)) == 14)
    withExtendedLifetime(served) {}
  }

  @Test func aResetDeviceIsUsedAgain() throws {
    let served = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    for without in [[], .packedRing, []] as [VirtioFeatures] {
      try rig.start(without: without)
      #expect(try rig.readSector(3) == 3)
      #expect(try rig.readSector(4) == 4)
      rig.controller.writeStatus(0)
    }
    #expect(rig.log.notices == [])
    withExtendedLifetime(served) {}
  }

  @Test func aDriverThatBreaksItsRingHasTheDeviceNeedAReset() throws {
    let served = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    let queue = try rig.start(without: .packedRing)

    try queue.setAvailableIndex(1000)
    rig.controller.notify(0)

    #expect(waitUntil { rig.controller.status.contains(.needsReset) })
    rig.controller.writeStatus(0)
    try rig.start()
    #expect(try rig.readSector(6) == 6)
    withExtendedLifetime(served) {}
  }

  @Test func theCacheModeIsWrittenAndToldToTheNext() throws {
    var served: ServedDevice? = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    try rig.start()
    #expect(rig.controller.readConfiguration(offset: 32, width: 1) == 1)
    rig.controller.writeConfiguration(0, offset: 32, width: 1)
    #expect(rig.controller.readConfiguration(offset: 32, width: 1) == 0)

    served = nil
    #expect(rig.waitForLine("back end gone"))
    served = try ServedDevice(makeDisk("second"), at: path)

    #expect(try rig.readSector(1) == 1)
    #expect(rig.controller.readConfiguration(offset: 32, width: 1) == 0)
    withExtendedLifetime(served) {}
  }

  @Test func aWriteThatIsNoModeIsForgotten() throws {
    var served: ServedDevice? = try ServedDevice(makeDisk(), at: path)
    let rig = try RemoteRig(.block, at: path)
    try rig.start()
    rig.controller.writeConfiguration(2, offset: 32, width: 1)

    served = nil
    #expect(rig.waitForLine("back end gone"))
    served = try ServedDevice(makeDisk("second"), at: path)

    #expect(try rig.readSector(1) == 1)
    #expect(!rig.controller.status.contains(.needsReset))
    withExtendedLifetime(served) {}
  }

  @Test func aDiskThatGrowsIsTold() throws {
    let disk = try makeDisk()
    let served = try ServedDevice(disk, at: path)
    let rig = try RemoteRig(.block, at: path)
    try rig.start()
    _ = try folder.file("disk", [UInt8](repeating: 0, count: 1 << 20))

    _ = try disk.resize()

    #expect(waitUntil { rig.controller.readConfiguration(offset: 0, width: 8) == 2048 })
    #expect(waitUntil { rig.interrupts.changes > 0 })
    withExtendedLifetime(served) {}
  }

  @Test func randomBytesCome() throws {
    let served = try ServedDevice(Entropy(), at: path)
    let rig = try RemoteRig(.entropy, at: path)
    let queue = try rig.start()

    #expect(try rig.driver.request(0, queue, [.writable(0x210000, 64)]) == 64)

    #expect(try rig.memory.read(at: GuestAddress(0x210000), count: 64).contains { $0 != 0 })
    withExtendedLifetime(served) {}
  }

  @Test func aPathWhereNobodyListensIsRefused() throws {
    #expect(throws: SystemError.self) { try RemoteRig(.block, at: path) }
  }

  @Test func aBackEndOfAnotherKindIsRefused() throws {
    let served = try ServedDevice(Entropy(), at: path)
    #expect(throws: VhostUserBackEndError.self) { try RemoteRig(.block, at: path, patience: 2) }
    withExtendedLifetime(served) {}
  }

  @Test func aConsoleSaysWhatTheGuestWrites() throws {
    let pair = try SocketPair()
    let served = try ServedDevice(
      Console(
        ConsolePort(input: try pair.far.duplicated(), output: try pair.far.duplicated()),
        size: (columns: 80, rows: 25)
      ),
      at: path
    )
    let rig = try RemoteRig(.console, at: path)
    try rig.start()
    #expect(rig.controller.readConfiguration(offset: 0, width: 4) == 25 << 16 | 80)
    rig.controller.writeStatus(0)
    try rig.driver.negotiate()
    _ = try rig.driver.makeQueue(0)
    let output = try rig.driver.makeQueue(1)
    rig.driver.start()
    try rig.memory.write(Array("hello".utf8), at: GuestAddress(0x210000))

    try rig.driver.request(1, output, [.readable(0x210000, 5)])

    #expect(try FileIO.read(pair.near.rawValue, atMost: 64) == Array("hello".utf8))
    withExtendedLifetime(served) {}
  }

  @Test func theLinkOfANetworkIsDownWhileNobodyServesIt() throws {
    var served: ServedDevice? = try ServedDevice(makeNetwork(), at: path)
    let rig = try RemoteRig(.network, at: path) { $0.address = MACAddress(0x5254_0001_0203) }
    try rig.start()
    #expect(rig.controller.readConfiguration(offset: 0, width: 8) == 0x0001_0302_0100_5452)
    // Of the control queue and what needs it, the guest finds nothing.
    rig.controller.deviceFeatureSelect = 0
    #expect(rig.controller.deviceFeatures & 0xFE_0000 == 0)

    served = nil
    #expect(waitUntil { rig.controller.readConfiguration(offset: 6, width: 2) == 0 })
    #expect(waitUntil { rig.interrupts.changes == 1 })
    served = try ServedDevice(makeNetwork(), at: path)
    #expect(
      waitUntil { rig.controller.readConfiguration(offset: 6, width: 2) == 1 },
      "\(rig.log.lines)"
    )
    #expect(waitUntil { rig.interrupts.changes == 2 })
    withExtendedLifetime(served) {}
  }

  private func makeNetwork() throws -> ServedNet {
    let backend = try StreamBackend(adopting: SocketPair().far.duplicated(), label: "test")
    return ServedNet(try Net(backend, address: MACAddress(0x02_0000_0000_01), name: "net"))
  }
}

private let storageDaemon = "/usr/bin/qemu-storage-daemon"

/// QEMU's storage daemon as a back end.
@Suite(
  .timeLimit(.minutes(10)),
  .enabled(if: access(storageDaemon, X_OK) == 0, "qemu-storage-daemon is not installed")
)
struct StorageDaemonTests {
  @Test(arguments: [1, 2])
  func aDiskIsReadAndReset(queueCount: Int) throws {
    let folder = try TemporaryFolder()
    let content = (0..<64).flatMap { [UInt8](repeating: $0, count: 512) }
    let (file, socket) = (try folder.file("disk", content), folder.path(of: "s"))
    var daemon = try start(file, socket, queueCount)
    do {
      // Its socket is there before anybody listens.
      var made: RemoteRig?
      #expect(
        waitUntil {
          made = try? RemoteRig(.block, at: socket, queueLimit: 2)
          return made != nil
        }
      )
      let rig = try #require(made)
      #expect(rig.controller.queueCount == queueCount)
      for _ in 0..<3 {
        try rig.start()
        for sector in 0..<10 { #expect(try rig.readSector(UInt64(sector)) == UInt8(sector)) }
        rig.controller.writeStatus(0)
      }
      #expect(rig.log.notices == [])
    }
    daemon.signal(SIGTERM)
    #expect(daemon.wait() == .exited(0))
  }

  private func start(_ file: String, _ socket: String, _ queueCount: Int) throws -> ChildProcess {
    try ChildProcess(
      storageDaemon,
      [
        "qemu-storage-daemon", "--blockdev", "driver=file,node-name=d,filename=\(file)",
        "--export",
        "type=vhost-user-blk,id=e,node-name=d,writable=on,num-queues=\(queueCount),"
          + "addr.type=unix,addr.path=\(socket)",
      ],
      environment: [],
      descriptors: [0, 1, 2]
    )
  }
}
