import DeviceModel
import GuestMemory
import HostOS
@testable import RemoteDevice
import TestSupport
import Virtio

/// A disk of 64 sectors that is served to a scripted proxy, and the driver behind that one.
final class MPQEMURig {
  /// Where the guest puts the BAR.
  static let bar: UInt64 = 0xC000_0000
  static let high: UInt64 = 0x1_0000_0000

  let log = RecordedLog()
  let memory: GuestMemory
  let proxy: ScriptedProxy
  let trigger: EventFD
  let resample: EventFD
  private(set) var driver: MockDriver?
  private let folder: TemporaryFolder
  private let stop: EventFD
  private var server: TestThread?

  init(_ generation: MPQEMUGeneration = .current) throws {
    folder = try TemporaryFolder()
    let path = try folder.file("disk", VhostUserDiskRig.content)
    memory = try GuestMemory([(GuestAddress(0), 0x400000), (GuestAddress(Self.high), 0x100000)])
    (trigger, resample, stop) = (try EventFD(), try EventFD(), try EventFD())
    let pair = try SocketPair()
    proxy = try ScriptedProxy(try pair.near.duplicated(), generation)
    let far = KeptDescriptor(try pair.far.duplicated())
    let (stop, logger) = (stop, log.makeLogger())
    server = try TestThread {
      do {
        let disk = Block(try DiskImage(opening: path, readOnly: false), name: "disk")
        let server = try MPQEMUServer.make(disk, logger: logger)
        try server.run(OwnedFileDescriptor(duplicating: far.rawValue), until: stop.rawValue)
      } catch {
        logger.error("\(error)")
      }
    }
  }

  deinit { end() }

  /// Stops the server, and waits until it has let go of everything.
  func end() {
    stop.signal()
    server?.join()
    server = nil
  }

  /// Waits until the log has a line that contains `text`.
  func waitForLine(_ text: String) -> Bool {
    waitUntil { log.notices.contains { $0.contains(text) } }
  }

  /// Does what a proxy and its guest's firmware do before there is a driver.
  func attach() throws {
    try proxy.share(memory)
    try proxy.tell(.setInterrupt, [trigger.rawValue, resample.rawValue])
    try place()
  }

  /// Gives the BAR its address and has it decoded.
  func place() throws {
    try proxy.write(UInt32(Self.bar), 0x10, 4)
    try proxy.write(0x0006, 0x04, 2)
  }

  /// Starts the driver with one queue.
  func start(without: VirtioFeatures = []) throws -> MockQueue {
    let proxy = proxy
    let transport = PCIDriverTransport(
      read: { (try? proxy.readMemory(Self.bar + $0, UInt32($1))) ?? .max },
      write: { _ = try? proxy.writeMemory($0, Self.bar + $1, UInt32($2)) }
    )
    let driver = MockDriver(transport, in: memory)
    self.driver = driver
    try driver.negotiate(without: without)
    let queue = try driver.makeQueue(0)
    driver.start()
    return queue
  }

  /// Whether sector `sector` is read as it was written when the disk was made.
  func readsSector(_ sector: UInt64, _ queue: MockQueue) throws -> Bool {
    guard let driver else { return false }
    let place = try driver.allocate(1024, alignment: 1024)
    try memory.store64(0, at: place)
    try memory.store64(sector, at: place &+ 8)
    try driver.request(
      0,
      queue,
      [
        .readable(place.rawValue, 16), .writable(place.rawValue + 512, 512),
        .writable(place.rawValue + 16, 1),
      ]
    )
    let start = Int(sector) * 512
    return try memory.read(at: place &+ 512, count: 512)
      == Array(VhostUserDiskRig.content[start..<start + 512])
  }
}
