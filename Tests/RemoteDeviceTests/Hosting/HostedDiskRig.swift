import DeviceModel
import GuestMemory
import HostOS
import RemoteDevice
import TestSupport
import Virtio

/// A hosted disk of 64 sectors, without a protocol before it; sector n begins with n and then counts on.
final class HostedDiskRig {
  /// Where the peer's second range is.
  static let high: UInt64 = 0x1_0000_0000

  let folder: TemporaryFolder
  let path: String
  let log = RecordedLog()
  let line = RecordingLine()
  let messages = HostedMessages()
  let doorbells = HostedDoorbells()
  let fault: EventFD
  let memory: GuestMemory
  let function: HostedFunction
  let transport: PCIDriverTransport
  let driver: MockDriver

  init(queueCount: Int = 1, state: VirtioStateFile? = nil) throws {
    folder = try TemporaryFolder()
    path = try folder.file("disk", VhostUserDiskRig.content)
    fault = try EventFD()
    memory = try GuestMemory([(GuestAddress(0), 0x400000), (GuestAddress(Self.high), 0x100000)])
    let disk = Block(
      try DiskImage(opening: path, readOnly: false),
      name: "disk",
      options: Block.Options(queueCount: queueCount)
    )
    let function = try HostedFunction(
      line: line,
      messages: messages,
      doorbells: doorbells,
      logger: log.makeLogger()
    ) { wiring in
      let transport = try PCITransport(
        disk,
        memory: wiring.memory,
        line: wiring.line,
        messages: wiring.messages,
        doorbells: wiring.doorbells,
        logger: wiring.logger
      )
      if let state { try transport.keepState(in: state) }
      return transport
    }
    self.function = function
    transport = PCIDriverTransport(
      read: { function.read(BusAccess(region: 0, offset: $0, width: $1)) },
      write: { function.write($0, BusAccess(region: 0, offset: $1, width: $2)) }
    )
    driver = MockDriver(transport, in: memory)
  }

  /// All of the guest's memory as its peer maps it, without the ranges that start at `missing`.
  func ranges(without missing: [UInt64] = []) throws -> HostedMemory {
    var ranges = HostedMemory(fault: fault)
    for region in memory.regions where !missing.contains(region.start.rawValue) {
      guard let file = memory.file.borrow({ $0.rawValue }) else { continue }
      try ranges.map(
        region.start.rawValue,
        size: region.count,
        access: [.read, .write],
        OwnedFileDescriptor(duplicating: file),
        offset: region.fileOffset
      )
    }
    return ranges
  }

  /// Maps all memory, or has `peer` asked for it, and starts the driver with one queue.
  func start(
    without: VirtioFeatures = [],
    vector: UInt16 = 0xFFFF,
    asking peer: (any DMAPeer)? = nil
  ) throws -> MockQueue {
    if let peer {
      var ranges = HostedMemory(fault: fault)
      for region in memory.regions {
        try ranges.map(region.start.rawValue, size: region.count, access: [.read, .write])
      }
      function.use(ranges, peer: peer)
    } else {
      function.use(try ranges())
    }
    transport.vector = vector
    try driver.negotiate(without: without)
    let queue = try driver.makeQueue(0)
    driver.start()
    return queue
  }

  /// The buffers of a read of sector `sector` to a place of its own.
  func readRequest(_ sector: UInt64) throws -> (buffers: [MockBuffer], data: GuestAddress) {
    let place = try driver.allocate(1024, alignment: 1024)
    try memory.store64(0, at: place)
    try memory.store64(sector, at: place &+ 8)
    let buffers: [MockBuffer] = [
      .readable(place.rawValue, 16), .writable(place.rawValue + 512, 512),
      .writable(place.rawValue + 16, 1),
    ]
    return (buffers, place &+ 512)
  }

  /// Whether sector `sector` is read as it was written when the disk was made.
  func readsSector(_ sector: UInt64, _ queue: MockQueue) throws -> Bool {
    let (buffers, data) = try readRequest(sector)
    try driver.request(0, queue, buffers)
    return try hasSector(sector, at: data)
  }

  func hasSector(_ sector: UInt64, at data: GuestAddress) throws -> Bool {
    let start = Int(sector) * 512
    return try memory.read(at: data, count: 512)
      == Array(VhostUserDiskRig.content[start..<start + 512])
  }
}
