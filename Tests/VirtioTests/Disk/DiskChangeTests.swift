import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// What can change of a disk, and what it is asked to be.
@Suite(.timeLimit(.minutes(5))) struct DiskChangeTests {
  private static let sector: [MockBuffer] = [.writable(BlockRig.data, 512)]

  /// A disk with its device at hand.
  private struct Rig {
    let folder: TemporaryFolder
    let path: String
    let block: Block
    let rig: DeviceRig
    let queue: MockQueue

    init(_ options: Block.Options = Block.Options(), _ image: DiskImage.Options = .init()) throws {
      folder = try TemporaryFolder()
      path = try folder.file("disk", BlockRig.content)
      block = Block(try DiskImage(opening: path, image), name: "disk0", options: options)
      rig = try DeviceRig(block)
      try rig.driver.negotiate()
      queue = try rig.driver.makeQueue(0)
      rig.driver.start()
    }

    var capacity: UInt64 { rig.transport.readConfiguration(offset: 0, width: 8) }

    func read(_ sector: UInt64) throws -> UInt8 {
      try rig.memory.store32(0, at: GuestAddress(BlockRig.header))
      try rig.memory.store64(sector, at: GuestAddress(BlockRig.header + 8))
      let buffers: [MockBuffer] = [
        .readable(BlockRig.header, 16), .writable(BlockRig.data, 512),
        .writable(BlockRig.status, 1),
      ]
      try rig.driver.request(0, queue, buffers)
      return try rig.memory.load8(at: GuestAddress(BlockRig.status))
    }
  }

  @Test func aDiskThatGrewIsToldOfAndCanBeUsed() throws {
    let rig = try Rig()
    #expect(try rig.read(64) == 1)
    let generation = rig.rig.controller.configurationGeneration
    #expect(truncate(rig.path, 512 * 100) == 0)
    #expect(rig.capacity == 64)
    let result = try rig.block.resize()
    #expect(result.count == 51200 && result.hasChanged)
    #expect(rig.capacity == 100)
    #expect(rig.rig.interrupts.changes == 1)
    #expect(rig.rig.controller.configurationGeneration != generation)
    #expect(try rig.read(64) == 0)
    #expect(try rig.read(100) == 1)
  }

  @Test func aDiskThatShrankIsToldOf() throws {
    let rig = try Rig()
    // Part of a sector is none.
    #expect(truncate(rig.path, 512 * 10 + 511) == 0)
    #expect(try rig.block.resize().count == 5120)
    #expect(rig.capacity == 10)
    #expect(rig.rig.interrupts.changes == 1)
    #expect(try rig.read(9) == 0)
    #expect(try rig.read(10) == 1)
  }

  @Test func aDiskOfTheSameSizeIsNoNews() throws {
    let rig = try Rig()
    #expect(try rig.block.resize() == (32768, false))
    #expect(rig.rig.interrupts.changes == 0)
  }

  @Test func aDiskThatGrewBetweenTwoDriversIsFoundAsItIs() throws {
    let rig = try Rig()
    rig.rig.transport.status = 0
    #expect(truncate(rig.path, 512 * 70) == 0)
    #expect(try rig.block.resize().hasChanged)
    #expect(rig.rig.interrupts.changes == 0)
    #expect(rig.capacity == 70)
  }

  @Test(.enabled(if: LoopDevice.isThere, "there are no loop devices"))
  func aDeviceThatGrewIsToldOf() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", [UInt8](repeating: 1, count: 1 << 20))
    let device = try LoopDevice(path)
    let block = Block(try DiskImage(opening: device.path, readOnly: true), name: "disk0")
    #expect(truncate(path, 2 << 20) == 0)
    #expect(try block.resize() == (1 << 20, false))
    device.measure()
    #expect(try block.resize() == (2 << 20, true))
  }

  @Test func aDiskThatWritesThroughHasNoCacheToFlushOrToSwitch() throws {
    let rig = try Rig(Block.Options(isWriteThrough: true))
    let flushAndCache: UInt64 = 1 << 9 | 1 << 11
    #expect(rig.rig.transport.deviceFeatures & flushAndCache == 0)
    #expect(rig.rig.transport.readConfiguration(offset: 32, width: 1) == 0)
    rig.rig.controller.writeConfiguration(1, offset: 32, width: 1)
    #expect(rig.rig.transport.readConfiguration(offset: 32, width: 1) == 0)
    #expect(try rig.read(0) == 0)
  }

  @Test func aDiskWithoutStorageReadsAsZeroesAndForgets() throws {
    let rig = try DeviceRig(Block(DiskSource(NullDisk(count: 1 << 20)), name: "null0"))
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(rig.transport.readConfiguration(offset: 0, width: 8) == 2048)
    for type in [1, 0, 4] as [UInt32] {
      try rig.memory.write([UInt8](repeating: 9, count: 512), at: GuestAddress(BlockRig.data))
      try rig.memory.store32(type, at: GuestAddress(BlockRig.header))
      try rig.memory.store64(2047, at: GuestAddress(BlockRig.header + 8))
      try rig.memory.store8(7, at: GuestAddress(BlockRig.status))
      let data: [MockBuffer] =
        type == 4 ? [] : [MockBuffer(GuestAddress(BlockRig.data), 512, isWritable: type == 0)]
      try rig.driver.request(
        0,
        queue,
        [.readable(BlockRig.header, 16)] + data + [.writable(BlockRig.status, 1)]
      )
      #expect(try rig.memory.load8(at: GuestAddress(BlockRig.status)) == 0)
      let bytes = try rig.memory.read(at: GuestAddress(BlockRig.data), count: 512)
      #expect(bytes == [UInt8](repeating: type == 0 ? 0 : 9, count: 512))
    }
  }

  /// A process that may open one more descriptor has one for the file and none for a ring.
  @Test func aHostThatRefusesRingsIsUsedByCallsAndToldOfOnce() async {
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let path = try folder.file("disk", BlockRig.content)
      let next = open("/dev/null", O_RDONLY)
      close(next)
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let before = limit.rlim_cur
      limit.rlim_cur = rlim_t(next + 1)
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      let explicit = #expect(throws: DiskImageError.self) {
        _ = try DiskImage(opening: path, DiskImage.Options(engine: .ring))
      }
      guard explicit?.description.contains("engine=sync") == true else { exit(2) }
      guard try DiskImage(opening: path, DiskImage.Options(engine: .calls)).ringRefusal == nil
      else { exit(3) }
      let image = try DiskImage(opening: path)
      limit.rlim_cur = before
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      guard image.ringRefusal?.code == EMFILE else { exit(4) }
      let rig = try DeviceRig(Block(image, name: "disk0"))
      for _ in 0..<2 {
        try rig.driver.negotiate()
        let queue = try rig.driver.makeQueue(0)
        rig.driver.start()
        try rig.memory.store32(4, at: GuestAddress(BlockRig.header))
        let written = try rig.driver.request(
          0,
          queue,
          [.readable(BlockRig.header, 16), .writable(BlockRig.status, 1)]
        )
        guard written == 1 else { exit(5) }
      }
      guard rig.log.lines.count == 1, rig.log.lines[0].contains("the host refuses io_uring") else {
        exit(6)
      }
      exit(0)
    }
  }
}
