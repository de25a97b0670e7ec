import Glibc
import GuestMemory
import TestSupport
import Testing
import Virtio

/// Disks that servers have, in the servers' formats.
@Suite(
  .enabled(if: NBDServer.isThere, "qemu-nbd or libnbd0 is missing: scripts/setup"),
  .timeLimit(.minutes(10))
)
struct NBDTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// An image in qcow2 over another, which is raw and has the model's content.
  private func makeImages() throws -> String {
    let base = try folder.file("base.raw", DiskModel.content)
    let image = folder.path(of: "image.qcow2")
    let result = shell("qemu-img create -q -f qcow2 -b \(base) -F raw \(image) 2>&1")
    #expect(result.code == 0, "\(result.output)")
    return image
  }

  private func open(
    _ server: NBDServer,
    _ options: NBDDisk.Options = NBDDisk.Options()
  ) throws -> NBDDisk {
    try NBDDisk(try #require(NBDAddress(server.address)), options)
  }

  @Test func anImageWithABackingFileHoldsWhatAnArrayWould() throws {
    let image = try makeImages()
    do {
      let server = try NBDServer.qemu(
        "--format=qcow2 --shared=2 --discard=unmap \(image)",
        in: folder
      )
      let model = try DiskModel(DiskSource(try open(server)), in: folder, seed: 11)
      try model.run(count: 5000)
      // As the server shows it to another client.
      model.end()
      try model.check { path in
        #expect(
          shell(
            "timeout 60 qemu-img convert -O raw 'nbd+unix:///?socket=\(server.socket)' \(path) 2>&1"
          ).code
            == 0
        )
      }
    }
    let base = try folder.bytes(at: "\(folder.path)/base.raw")
    #expect(base == DiskModel.content)
    #expect(shell("qemu-img check -q \(image) 2>&1").code == 0)
  }

  @Test(
    .enabled(if: NBDServer.hasKit, "nbdkit is missing: scripts/setup"),
    arguments: [1024, 4096]
  )
  func aServerOfLargeBlocksHoldsWhatAnArrayWould(block: Int) throws {
    let path = try folder.file("disk", DiskModel.content)
    let server = try NBDServer.kit(
      "--filter=blocksize-policy file \(path) "
        + "blocksize-minimum=\(block) blocksize-preferred=4096 blocksize-maximum=65536 "
        + "blocksize-error-policy=error",
      in: folder
    )
    let model = try DiskModel(DiskSource(try open(server)), in: folder, seed: 12)
    #expect(model.blockSize == UInt64(block))
    try model.run(count: 3000)
    model.end()
    try model.check { copy in
      #expect(shell("cp \(path) \(copy)").code == 0)
    }
  }

  @Test func queuesHaveConnectionsOfTheirOwn() throws {
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.qemu("--format=raw --shared=4 \(path)", in: folder)
    let disk = try open(server, NBDDisk.Options(connectionCount: 3))
    let rig = try DeviceRig(
      Block(DiskSource(disk), name: "disk0", options: Block.Options(queueCount: 3))
    )
    try rig.driver.negotiate()
    let queues = try (0..<3).map { try rig.driver.makeQueue($0) }
    rig.driver.start()
    for (index, queue) in queues.enumerated() {
      let header = BlockRig.header + UInt64(index) * 0x1000
      try rig.memory.store32(0, at: GuestAddress(header))
      try rig.memory.store64(UInt64(index), at: GuestAddress(header + 8))
      _ = try rig.driver.request(
        UInt16(index),
        queue,
        [.readable(header, 16), .writable(header + 32, 512), .writable(header + 16, 1)]
      )
      #expect(try rig.memory.load8(at: GuestAddress(header + 16)) == 0)
      let bytes = try rig.memory.read(at: GuestAddress(header + 32), count: 512)
      #expect(bytes == Array(BlockRig.content[(index * 512)..<((index + 1) * 512)]))
    }
  }

  @Test func aServerForOneIsNotSharedByQueues() throws {
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.qemu("--format=raw \(path)", in: folder)
    let error = #expect(throws: NBDError.self) {
      _ = try open(server, NBDDisk.Options(connectionCount: 2))
    }
    #expect(error?.description.contains("connections of 2 queues") == true)
    #expect(error?.description.contains("--shared=2") == true)
  }

  @Test func anExportToBeReadOnlyIsNamedWithTheRemedy() throws {
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.qemu("--read-only --format=raw \(path)", in: folder)
    let error = #expect(throws: NBDError.self) { _ = try open(server) }
    #expect(error?.description.hasSuffix("use it read-only: \(server.address),readonly") == true)
    let rig = try BlockRig(
      DiskSource(try open(server, NBDDisk.Options(isReadOnly: true))),
      in: folder
    )
    #expect(try rig.request(1, sector: 0, [.readable(BlockRig.data, 512)]).status == 1)
    #expect(try rig.request(0, sector: 1, [.writable(BlockRig.data, 512)]).status == 0)
  }

  @Test func aServerThatIsNotThereIsNamedWithTheRemedy() throws {
    let path = folder.path(of: "none.sock")
    let address = try #require(NBDAddress("nbd:unix:\(path):disk"))
    let error = #expect(throws: NBDError.self) { _ = try NBDDisk(address) }
    let text = try #require(error?.description)
    #expect(text.hasPrefix("disk nbd:unix:\(path):disk: "))
    #expect(
      text.hasSuffix(
        "qemu-nbd --persistent --socket=\(path) --export-name=disk image.qcow2"
      )
    )
    #expect(!text.contains("\n"))
  }

  @Test func anExportIsFoundByItsName() throws {
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.qemu("--format=raw --export-name=data \(path)", in: folder)
    for text in [
      "\(server.address):data", "\(server.address):exportname=data",
      "nbd+unix:///data?socket=\(server.socket)",
    ] {
      let disk = try NBDDisk(try #require(NBDAddress(text)))
      #expect(DiskSource(disk).count == 32768)
    }
    #expect(throws: NBDError.self) { _ = try open(server) }
  }

  @Test(
    .enabled(if: NBDServer.hasKit, "nbdkit is missing: scripts/setup"),
    arguments: [false, true]
  )
  func aServerAtAPortIsReadAndWritten(withTLS: Bool) throws {
    let path = try folder.file("disk", BlockRig.content)
    let keys = folder.path(of: "keys.psk")
    _ = try folder.file("keys.psk", Array("apus:0123456789abcdef0123456789abcdef\n".utf8))
    let (server, port) = try NBDServer.kitAtPort(
      (withTLS ? "--tls=require --tls-psk=\(keys) " : "") + "file \(path)",
      in: folder
    )
    let address =
      withTLS
      ? "nbds://apus@127.0.0.1:\(port)/?tls-psk-file=\(keys)" : "nbd://127.0.0.1:\(port)/"
    do {
      let disk = try NBDDisk(try #require(NBDAddress(address)))
      let rig = try BlockRig(DiskSource(disk), in: folder)
      try rig.rig.memory.write(
        [UInt8](repeating: 0xA5, count: 512),
        at: GuestAddress(BlockRig.data)
      )
      #expect(try rig.request(1, sector: 3, [.readable(BlockRig.data, 512)]).status == 0)
      #expect(try rig.request(4).status == 0)
      #expect(try rig.request(0, sector: 2, [.writable(BlockRig.data, 512)]).status == 0)
      #expect(
        try rig.rig.memory.read(at: GuestAddress(BlockRig.data), count: 512)
          == Array(BlockRig.content[1024..<1536])
      )
    }
    #expect(try folder.bytes(at: path)[1536..<2048].allSatisfy { $0 == 0xA5 })
    withExtendedLifetime(server) {}
  }

  @Test(.enabled(if: NBDServer.hasKit, "nbdkit is missing: scripts/setup"))
  func aServerThatWantsTLSIsNotTalkedToWithout() throws {
    let path = try folder.file("disk", BlockRig.content)
    let keys = try folder.file("keys.psk", Array("apus:0123456789abcdef\n".utf8))
    let (server, port) = try NBDServer.kitAtPort(
      "--tls=require --tls-psk=\(keys) file \(path)",
      in: folder
    )
    let address = try #require(NBDAddress("nbd://127.0.0.1:\(port)/"))
    let error = #expect(throws: NBDError.self) { _ = try NBDDisk(address) }
    #expect(error?.description.contains("\n") == false)
    withExtendedLifetime(server) {}
  }

  @Test(.enabled(if: NBDServer.hasKit, "nbdkit is missing: scripts/setup"))
  func aServerIsToldWhenItHasServed() throws {
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.kit("file \(path)", in: folder)
    do {
      let rig = try BlockRig(DiskSource(try open(server)), in: folder)
      #expect(try rig.request(4).status == 0)
    }
    #expect(waitUntil { server.said("NBD_CMD_DISC") == 1 })
  }

  @Test(
    .enabled(if: NBDServer.hasKit, "nbdkit is missing: scripts/setup"),
    arguments: [
      (
        type: 0 as UInt32, filter: "error-pread=EIO",
        "read of 512 bytes at 1024: Input/output error"
      ),
      (1, "error-pwrite=ENOSPC", "write of 512 bytes at 1024: No space left on device"),
      (13, "error-zero=EIO", "write-zeroes of 512 bytes at 1024: Input/output error"),
    ]
  )
  func whatTheServerCannotDoFailsAndTheNextIsDone(
    type: UInt32,
    filter: String,
    line: String
  ) throws {
    let path = try folder.file("disk", BlockRig.content)
    let trigger = try folder.file("trigger", [])
    let server = try NBDServer.kit(
      "--filter=error file \(path) \(filter) error-rate=100% error-file=\(trigger)",
      in: folder
    )
    let rig = try BlockRig(DiskSource(try open(server)), in: folder)
    // A sector, as the data of a read or write or as a range.
    func data(_ sector: UInt64) throws -> [MockBuffer] {
      try rig.rig.memory.store64(sector, at: GuestAddress(BlockRig.data))
      try rig.rig.memory.store64(1, at: GuestAddress(BlockRig.data + 8))
      let readable = MockBuffer.readable(BlockRig.data, type == 13 ? 16 : 512)
      return [type == 0 ? .writable(BlockRig.data, 512) : readable]
    }
    #expect(try rig.request(type, sector: 2, try data(2)).status == 1)
    #expect(try rig.request(4).status == 0)
    unlink(trigger)
    #expect(try rig.request(type, sector: 2, try data(2)).status == 0)
    #expect(rig.rig.log.lines.count == 1)
    #expect(rig.rig.log.lines.first?.contains("\(server.address): \(line)") == true)
  }

  @Test(.enabled(if: NBDServer.hasKit, "nbdkit is missing: scripts/setup"))
  func anExportThatGrewIsToldOfAndCanBeUsed() throws {
    let path = try folder.file("disk", BlockRig.content)
    let server = try NBDServer.kit("file \(path)", in: folder)
    let block = Block(DiskSource(try open(server)), name: "disk0")
    let rig = try DeviceRig(block)
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    func write(_ sector: UInt64) throws -> UInt8 {
      try rig.memory.store32(1, at: GuestAddress(BlockRig.header))
      try rig.memory.store64(sector, at: GuestAddress(BlockRig.header + 8))
      let buffers: [MockBuffer] = [
        .readable(BlockRig.header, 16), .readable(BlockRig.data, 512),
        .writable(BlockRig.status, 1),
      ]
      try rig.driver.request(0, queue, buffers)
      return try rig.memory.load8(at: GuestAddress(BlockRig.status))
    }
    #expect(try write(64) == 1)
    #expect(truncate(path, 65536) == 0)
    #expect(try block.resize() == (count: 65536, hasChanged: true))
    #expect(rig.transport.readConfiguration(offset: 0, width: 8) == 128)
    #expect(try write(127) == 0)
    #expect(try block.resize() == (count: 65536, hasChanged: false))
    #expect(try write(0) == 0)
    #expect(truncate(path, 16384) == 0)
    #expect(try block.resize() == (count: 16384, hasChanged: true))
    #expect(try write(32) == 1)
    #expect(try write(31) == 0)
    #expect(!rig.log.lines.contains { $0.contains("lost") })
  }

  @Test(arguments: ["nbd:", "nbd:unix:", "nbd:host:10809", "nbd://", "file", "nbdx://h"])
  func whatIsNoAddressIsRefused(text: String) {
    #expect(NBDAddress(text) == nil)
  }
}
