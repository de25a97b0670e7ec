import GuestMemory
import HostOS
import Logging
import RemoteDevice
import TestSupport
import Virtio

/// A device that is served to a mock front end, with a guest of two regions of memory.
final class VhostUserRig {
  /// Where the guest's rings begin, in the first region.
  static let rings: UInt64 = 0x10000
  /// Where a second region begins.
  static let high: UInt64 = 1 << 32

  let memory: GuestMemory
  let log = RecordedLog()
  var frontEnd: VhostUserFrontEnd
  private let stop: EventFD
  private let server: TestThread
  private let folder: TemporaryFolder
  private let path: String

  /// Serves `device` at a socket.
  init(
    _ device: any VirtioDevice,
    memory ranges: [(GuestAddress, UInt64)] = [
      (GuestAddress(0), 4 << 20), (GuestAddress(VhostUserRig.high), 4 << 20),
    ]
  ) throws {
    let folder = try TemporaryFolder()
    let path = folder.path(of: "socket")
    let (stop, logger) = (try EventFD(), log.makeLogger())
    let endpoint = HandedEndpoint(try PeerEndpoint(path: path))
    server = try TestThread {
      let server = VhostUserServer(device, logger: logger)
      guard let endpoint = endpoint.take() else { return }
      try? server.run(endpoint, until: stop.rawValue)
    }
    self.folder = folder
    self.path = path
    self.stop = stop
    memory = try GuestMemory(ranges)
    frontEnd = try VhostUserFrontEnd(UnixConnection.make(path), memory: memory)
  }

  deinit {
    stop.signal()
    server.join()
  }

  /// Ends the connection and makes another.
  func reconnect() throws {
    frontEnd.close()
    frontEnd = try VhostUserFrontEnd(UnixConnection.make(path), memory: memory)
  }

  /// Waits until the log has a line that contains `text`.
  func waitForLine(_ text: String) -> Bool {
    waitUntil { log.notices.contains { $0.contains(text) } }
  }
}

/// An endpoint on its way to another thread.
final class HandedEndpoint: @unchecked Sendable {
  // Sendable: taken once, by a thread that starts after this was made.
  private var endpoint: PeerEndpoint?

  init(_ endpoint: consuming PeerEndpoint) { self.endpoint = consume endpoint }

  func take() -> PeerEndpoint? { endpoint.take() }
}
