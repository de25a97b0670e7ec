import GuestMemory
import HostOS
import RemoteDevice
import TestSupport
import Virtio

/// A driver of a device that a back end serves.
final class RemoteRig {
  let memory: GuestMemory
  let log = RecordedLog()
  let interrupts = RecordingInterrupts()
  let device: VhostUserRemote
  let controller: VirtioDeviceController
  let driver: MockDriver
  private(set) var queue: MockQueue?

  init(
    _ kind: VhostUserKind,
    at path: String,
    queueLimit: Int = 1,
    patience: Int = 10,
    prepare: (inout VhostUserRemote.Options) -> Void = { _ in }
  ) throws {
    var options = VhostUserRemote.Options(kind, path: path, name: "remote", queueLimit: queueLimit)
    options.patience = patience
    prepare(&options)
    memory = try GuestMemory([
      (GuestAddress(0), 4 << 20), (GuestAddress(1 << 32), 1 << 20),
    ])
    device = try VhostUserRemote(options, logger: log.makeLogger())
    controller = try VirtioDeviceController(
      device,
      memory: memory,
      interrupts: interrupts,
      logger: log.makeLogger()
    )
    driver = MockDriver(DirectTransport(controller), in: memory)
  }

  /// Agrees on features, makes the first queue, and starts.
  @discardableResult
  func start(without: VirtioFeatures = []) throws -> MockQueue {
    try driver.negotiate(without: without)
    let queue = try driver.makeQueue(0)
    self.queue = queue
    driver.start()
    return queue
  }

  /// Reads a sector of a disk, and returns its first byte, if that went well.
  func readSector(_ sector: UInt64) throws -> UInt8? {
    guard let queue else { return nil }
    let (header, status, data) = (0x200000 as UInt64, 0x200100 as UInt64, 0x210000 as UInt64)
    try memory.store64(0, at: GuestAddress(header))
    try memory.store64(sector, at: GuestAddress(header + 8))
    try memory.store8(0xFF, at: GuestAddress(status))
    try driver.request(
      0,
      queue,
      [.readable(header, 16), .writable(data, 512), .writable(status, 1)]
    )
    guard try memory.load8(at: GuestAddress(status)) == 0 else { return nil }
    return try memory.load8(at: GuestAddress(data))
  }

  /// Waits until the log has a line that contains `text`.
  func waitForLine(_ text: String) -> Bool {
    waitUntil { log.lines.contains { $0.contains(text) } }
  }
}

/// A device that is served at a path, until it is stopped.
final class ServedDevice {
  private let stop: EventFD
  private let server: TestThread

  init(_ device: any VirtioDevice, at path: String) throws {
    let stop = try EventFD()
    let endpoint = HandedEndpoint(try PeerEndpoint(path: path))
    let log = RecordedLog()
    server = try TestThread {
      guard let endpoint = endpoint.take() else { return }
      try? VhostUserServer(device, logger: log.makeLogger()).run(endpoint, until: stop.rawValue)
    }
    self.stop = stop
  }

  deinit {
    stop.signal()
    server.join()
  }
}
