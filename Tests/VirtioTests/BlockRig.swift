import GuestMemory
import TestSupport
import Virtio

/// A disk of 64 sectors with its driver; sector n begins with n and then counts on.
struct BlockRig {
  static let sectors = 64
  static let header: UInt64 = 0x100000
  static let status: UInt64 = 0x100100
  static let data: UInt64 = 0x110000

  let folder: TemporaryFolder
  let path: String
  let rig: DeviceRig
  let queue: MockQueue

  init(
    readOnly: Bool = false,
    without: VirtioFeatures = [],
    engine: DiskImage.Engine = .auto,
    in parent: String? = nil
  ) throws {
    let folder = try TemporaryFolder(in: parent)
    let path = try folder.file("disk", Self.content)
    let options = DiskImage.Options(isReadOnly: readOnly, engine: engine)
    try self.init(path, options, without: without, in: folder)
  }

  /// Over what is at `path`.
  init(
    _ path: String,
    _ options: DiskImage.Options,
    without: VirtioFeatures = [],
    in folder: TemporaryFolder
  ) throws {
    let source = DiskSource(try DiskImage(opening: path, options))
    try self.init(source, without: without, in: folder)
  }

  /// Over what is open.
  init(_ source: DiskSource, without: VirtioFeatures = [], in folder: TemporaryFolder) throws {
    self.folder = folder
    path = source.path
    rig = try DeviceRig(
      Block(
        source,
        name: "disk0",
        options: Block.Options(serial: "serial-7")
      )
    )
    try rig.driver.negotiate(without: without)
    queue = try rig.driver.makeQueue(0)
    rig.driver.start()
  }

  static var content: [UInt8] {
    (0..<sectors).flatMap { sector in (0..<512).map { UInt8(truncatingIfNeeded: sector + $0) } }
  }

  /// Writes a request's header and an impossible status.
  func prepare(_ type: UInt32, sector: UInt64) throws {
    try rig.memory.store32(type, at: GuestAddress(Self.header))
    try rig.memory.store32(0, at: GuestAddress(Self.header + 4))
    try rig.memory.store64(sector, at: GuestAddress(Self.header + 8))
    try rig.memory.store8(0xFF, at: GuestAddress(Self.status))
  }

  /// Makes a request, and returns its status and how many bytes were written.
  func request(
    _ type: UInt32,
    sector: UInt64 = 0,
    _ data: [MockBuffer] = []
  ) throws -> (status: UInt8, written: UInt32) {
    try prepare(type, sector: sector)
    let written = try rig.driver.request(
      0,
      queue,
      [.readable(Self.header, 16)] + data + [.writable(Self.status, 1)]
    )
    return (try rig.memory.load8(at: GuestAddress(Self.status)), written)
  }
}
