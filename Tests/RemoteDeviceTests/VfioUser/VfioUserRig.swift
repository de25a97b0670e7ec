import GuestMemory
import HostOS
import Logging
import PCI
import RemoteDevice
import TestSupport
import Virtio

/// A function that is served to a test's client.
final class VfioUserRig {
  let log = RecordedLog()
  var client: VfioUserTestClient
  private let stop: EventFD
  private let server: TestThread
  private let folder: TemporaryFolder
  private let path: String

  /// Serves what `makeFunction` makes at a socket.
  init(
    patience: UInt64? = nil,
    _ makeFunction: @escaping @Sendable (HostedWiring) throws -> any PCIFunction
  ) throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "socket")
    let (stop, logger) = (try EventFD(), log.makeLogger())
    let endpoint = HandedEndpoint(try PeerEndpoint(path: path))
    server = try TestThread {
      guard let endpoint = endpoint.take(),
        let server = try? VfioUserServer(logger: logger, makeFunction)
      else { return }
      if let patience {
        server.patience = patience
        server.replyPatience = patience
      }
      try? server.run(endpoint, until: stop.rawValue)
    }
    self.folder = folder
    self.path = path
    self.stop = stop
    client = VfioUserTestClient(try UnixConnection.make(path))
  }

  deinit {
    stop.signal()
    server.join()
  }

  /// Ends the connection and makes another.
  func reconnect() throws {
    client.close()
    client = VfioUserTestClient(try UnixConnection.make(path))
  }

  /// Waits until the log has a line that contains `text`.
  func waitForLine(_ text: String) -> Bool {
    waitUntil { log.notices.contains { $0.contains(text) } }
  }
}

/// A disk of 64 sectors that is served to a test's client, and a driver that reaches it through that.
final class VfioUserDiskRig {
  static let high: UInt64 = 0x1_0000_0000

  let folder: TemporaryFolder
  let path: String
  let rig: VfioUserRig
  let memory: GuestMemory
  private(set) var driver: MockDriver
  private(set) var transport: PCIDriverTransport
  /// The function's pin and its vectors.
  let pin: EventFD
  let vectors: [EventFD]

  init(patience: UInt64? = nil) throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", VhostUserDiskRig.content)
    let image = try DiskImage(opening: path, readOnly: false)
    let disk = Block(image, name: "disk")
    rig = try VfioUserRig(patience: patience) { wiring in
      try PCITransport(
        disk,
        memory: wiring.memory,
        line: wiring.line,
        messages: wiring.messages,
        doorbells: wiring.doorbells,
        logger: wiring.logger
      )
    }
    self.folder = folder
    self.path = path
    memory = try GuestMemory([(GuestAddress(0), 0x400000), (GuestAddress(Self.high), 0x100000)])
    pin = try EventFD()
    vectors = [try EventFD(), try EventFD()]
    transport = PCIDriverTransport(read: { _, _ in 0 }, write: { _, _, _ in })
    driver = MockDriver(transport, in: memory)
    makeDriver()
  }

  var client: VfioUserTestClient { rig.client }

  /// A driver that begins anew.
  func makeDriver() {
    transport = PCIDriverTransport(
      read: { [rig] offset, width in
        guard let bytes = try? rig.client.readRegion(0, offset, count: UInt32(width)) else {
          return .max
        }
        return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
      },
      write: { [rig] value, offset, width in
        let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        // Memory writes are posted, and the next read is behind them.
        try? rig.client.postWrite(0, offset, bytes)
      }
    )
    driver = MockDriver(transport, in: memory)
  }

  /// Maps all memory, as a client does.
  func mapMemory() throws {
    for region in memory.regions { try map(region) }
  }

  func map(_ region: GuestRegion) throws {
    let file = memory.file.borrow { $0.rawValue } ?? -1
    try client.ask(
      2,
      VfioUserTestClient.mapping(region.start.rawValue, region.count, offset: region.fileOffset),
      descriptors: [file]
    )
  }

  func unmap(_ region: GuestRegion) throws {
    let unmapping = VfioUserTestClient.unmapping(region.start.rawValue, region.count)
    guard try client.ask(3, unmapping) == unmapping else {
      throw VfioUserTestClient.Failure.timeout
    }
  }

  /// Greets, maps all memory, and starts the driver with one queue.
  func start(without: VirtioFeatures = [], vector: UInt16 = 0xFFFF) throws -> MockQueue {
    try client.greet()
    try mapMemory()
    if vector != 0xFFFF {
      try client.writeRegion(7, 0x42, [0, 0x80])
      try client.ask(
        8,
        VfioUserTestClient.interrupts(0x24, 2, count: 2),
        descriptors: vectors.map(\.rawValue)
      )
    }
    makeDriver()
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
