import Glibc
import GuestMemory
import HostOS
import Platform
import TestSupport
import Testing
import Virtio

/// What the host cannot do fails with its status and a line in the log, and the next request is done.
@Suite(.timeLimit(.minutes(5))) struct DiskFaultTests {
  static let engines: [DiskImage.Engine] = [.ring, .calls]

  @Test(arguments: engines, DiskPlace.allCases)
  func aFileThatBecameShorterFailsWhatIsBeyond(
    engine: DiskImage.Engine,
    place: DiskPlace
  ) throws {
    let rig = try BlockRig(engine: engine, in: place.rawValue)
    #expect(truncate(rig.path, 512 * 10 + 100) == 0)
    #expect(try rig.request(0, sector: 9, [.writable(BlockRig.data, 1024)]).status == 1)
    #expect(try rig.request(0, sector: 20, [.writable(BlockRig.data, 512)]).status == 1)
    #expect(
      rig.rig.log.lines == [
        "error: disk0: \(rig.path): read of 1024 bytes at 4608: the file ends after 612",
        "error: disk0: \(rig.path): read of 512 bytes at 10240: the file ends after 0",
      ]
    )
    #expect(try rig.request(0, sector: 8, [.writable(BlockRig.data, 512)]).status == 0)
  }

  @Test(.enabled(if: TinyFileSystem.isThere, "file systems cannot be mounted"), arguments: engines)
  func aFullFileSystemFailsWhatDoesNotFit(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder()
    let tiny = try TinyFileSystem(at: folder.path(of: "tiny"))
    defer { withExtendedLifetime(tiny) {} }
    let path = folder.path(of: "tiny/disk")
    close(creat(path, 0o600))
    #expect(truncate(path, 1 << 20) == 0)
    let rig = try BlockRig(path, DiskImage.Options(engine: engine), in: folder)
    // 240 of 256 KiB, and no more.
    for sector in stride(from: 0, to: 480, by: 32) as StrideTo<UInt64> {
      #expect(try rig.request(1, sector: sector, [.readable(BlockRig.data, 16384)]).status == 0)
    }
    let answer = try rig.request(1, sector: 1024, [.readable(BlockRig.data, 32768)])
    #expect(answer.status == 1)
    #expect(
      rig.rig.log.lines == [
        "error: disk0: \(path): write of 32768 bytes at 524288: No space left on device (errno 28)"
      ]
    )
    #expect(try rig.request(1, sector: 0, [.readable(BlockRig.data, 512)]).status == 0)
    #expect(try rig.request(4).status == 0)
  }

  @Test(.enabled(if: LoopDevice.isThere, "there are no loop devices"), arguments: engines)
  func aDeviceThatReportsAnErrorFailsTheRequest(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", [UInt8](repeating: 5, count: 1 << 20))
    let device = try LoopDevice(path)
    // The device does not know that half of its file has gone.
    #expect(truncate(path, 1 << 19) == 0)
    let options = DiskImage.Options(isDirect: true, engine: engine)
    let rig = try BlockRig(device.path, options, in: folder)
    let answer = try rig.request(0, sector: 1500, [.writable(BlockRig.data, 4096)])
    #expect(answer.status == 1)
    #expect(
      rig.rig.log.lines == [
        "error: disk0: \(device.path): read of 4096 bytes at 768000: Input/output error (errno 5)"
      ]
    )
    #expect(try rig.request(0, sector: 8, [.writable(BlockRig.data, 4096)]).status == 0)
    rig.rig.transport.status = 0
  }

  /// Half of what is under way fails; every request gets its own answer.
  @Test(.enabled(if: LoopDevice.isThere, "there are no loop devices"), arguments: engines)
  func whatFailsAmongManyLeavesTheOthersAlone(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", [UInt8](repeating: 5, count: 1 << 20))
    let device = try LoopDevice(path)
    #expect(truncate(path, 1 << 19) == 0)
    let rig = try BlockRig(
      device.path,
      DiskImage.Options(isDirect: true, engine: engine),
      in: folder
    )
    for slot in 0..<64 as Range<UInt64> {
      let base = 0x200000 + slot * 0x2000
      // Every other one in the half that is gone, with blocks of the host's in between.
      let sector = slot / 2 * 8 + (slot % 2 == 0 ? 0 : 1280)
      try rig.rig.memory.store64(sector, at: GuestAddress(base + 8))
      try rig.rig.memory.store8(0xFF, at: GuestAddress(base + 16))
      try rig.queue.add([
        .readable(base, 16), .writable(base + 0x1000, 4096), .writable(base + 16, 1),
      ])
    }
    try rig.rig.driver.kick(0, rig.queue)
    for _ in 0..<64 { _ = try rig.rig.driver.waitForUsed(rig.queue) }
    let answers = try (0..<64).map {
      try rig.rig.memory.load8(at: GuestAddress(0x200010 + $0 * 0x2000))
    }
    #expect(answers == (0..<64).map { $0 % 2 == 0 ? 0 : 1 })
    let bytes = try (0..<32).map {
      try rig.rig.memory.load8(at: GuestAddress(0x201FFF + $0 * 0x4000))
    }
    #expect(bytes.allSatisfy { $0 == 5 })
    #expect(
      rig.rig.log.lines.allSatisfy {
        $0.hasPrefix("error: disk0: \(device.path): read of 4096 bytes at ")
          && $0.contains("Input/output error (errno 5)")
      }
    )
    #expect((1...LimitedLog.burst + 2).contains(rig.rig.log.lines.count))
    rig.rig.transport.status = 0
  }

  @Test(arguments: engines)
  func aRequestOfMegabytesIsDone(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder()
    let content = (0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 >> 8) }
    let path = try folder.file("disk", content)
    let rig = try DeviceRig(
      Block(try DiskImage(opening: path, DiskImage.Options(engine: engine)), name: "disk0"),
      memoryCount: 16 << 20
    )
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    try rig.memory.store32(0, at: GuestAddress(BlockRig.header))
    try rig.memory.store64(1, at: GuestAddress(BlockRig.header + 8))
    let count: UInt32 = (5 << 20) - 512
    let written = try rig.driver.request(
      0,
      queue,
      [.readable(BlockRig.header, 16), .writable(0x200000, count), .writable(BlockRig.status, 1)]
    )
    #expect(written == count + 1)
    let bytes = try rig.memory.read(at: GuestAddress(0x200000), count: Int(count))
    #expect(bytes[...] == content[512...])
  }

  /// A reset in the middle of many slow requests waits for them, and leaves memory alone afterwards.
  @Test(arguments: engines)
  func aResetEndsWhatIsUnderWay(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder(in: DiskPlace.disk.rawValue)
    let path = try folder.file("disk", [UInt8](repeating: 0xA5, count: 4 << 20))
    let options = DiskImage.Options(isDirect: true, engine: engine)
    let rig = try DeviceRig(
      Block(try DiskImage(opening: path, options), name: "disk0"),
      memoryCount: 8 << 20
    )
    for _ in 0..<10 {
      try rig.driver.negotiate()
      let queue = try rig.driver.makeQueue(0)
      rig.driver.start()
      try rig.memory.zero(GuestAddress(0x200000), count: 80 * 0x10000)
      for slot in 0..<80 as Range<UInt64> {
        let base = 0x200000 + slot * 0x10000
        try rig.memory.store64(slot * 64, at: GuestAddress(base + 8))
        try queue.add([
          .readable(base, 16), .writable(base + 0x1000, 0x8000), .writable(base + 16, 1),
        ])
      }
      rig.transport.notify(0)
      rig.transport.status = 0
      let places = (0..<80).map { GuestAddress(0x201000 + $0 * 0x10000) }
      let before = try places.map { try rig.memory.load64(at: $0) }
      usleep(5000)
      #expect(try places.map { try rig.memory.load64(at: $0) } == before)
    }
    #expect(rig.log.lines == [])
  }

  @Test(arguments: engines)
  func aLimitedDiskTakesItsTimeAndAResetDoesNot(engine: DiskImage.Engine) throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", BlockRig.content)
    let limit = RateLimit(operations: RateLimit.Rate(perSecond: 50, burst: 2))
    let image = try DiskImage(opening: path, DiskImage.Options(engine: engine))
    let limiter = RateLimiter(limit, clock: try HostClock())
    let rig = try DeviceRig(
      Block(image, name: "disk0", options: Block.Options(limiter: limiter))
    )
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    let buffers: [MockBuffer] = [.readable(BlockRig.header, 16), .writable(BlockRig.status, 1)]
    try rig.memory.store32(4, at: GuestAddress(BlockRig.header))
    let start = ContinuousClock.now
    for _ in 0..<7 { try queue.add(buffers) }
    try rig.driver.kick(0, queue)
    for _ in 0..<7 { _ = try rig.driver.waitForUsed(queue) }
    // Two at once, the others 20 ms apart.
    #expect(ContinuousClock.now - start >= .milliseconds(99))
    for _ in 0..<50 { try queue.add(buffers) }
    try rig.driver.kick(0, queue)
    let reset = ContinuousClock.now
    rig.transport.status = 0
    #expect(ContinuousClock.now - reset < .milliseconds(500))
  }
}
