import DeviceModel
import GuestMemory
import HostOS
import PCI
import RemoteDevice
import Synchronization
import Testing
import TestSupport

/// An author's device on a bus, in one of the ways in which it can run.
final class AuthorDeviceRig {
  /// Where the device runs.
  enum Way: CaseIterable, Sendable {
    /// In the process of the machine.
    case here
    /// In a process of its own, behind vfio-user, or behind the multi-process protocol.
    case vfioUser, mpqemu
  }

  static let bar: UInt64 = 0xE000_0000

  let memory: GuestMemory
  let log = RecordedLog()
  private let line = RecordingLine()
  private let resampled = RecordingResampledLine()
  private let bus: PCIRootBus
  private let space = FakePCIAddressSpace()
  private let function: any PCIFunction
  private let address = PCIAddress(device: 3)
  private let folder: TemporaryFolder
  private let stop: EventFD
  private var server: TestThread?

  init(_ way: Way, recorder: MessageRecorder? = nil) throws {
    memory = try GuestMemory([(GuestAddress(0), 1 << 20)])
    (folder, stop) = (try TemporaryFolder(), try EventFD())
    let (stop, logger) = (stop, log.makeLogger())
    let wiring = RemoteWiring(
      memory: memory,
      line: resampled,
      messages: FakeMessageInterrupts(),
      doorbells: FakeDoorbells()
    )
    switch way {
    case .here:
      function = try PCIDeviceFunction(
        CopyingDevice.model,
        memory: memory,
        line: line,
        messages: FakeMessageInterrupts()
      ) {
        logger.warning("\($0)")
      }
    case .vfioUser:
      let path = folder.path(of: "socket")
      let endpoint = HandedEndpoint(try PeerEndpoint(path: path))
      server = try TestThread {
        guard let endpoint = endpoint.take() else { return }
        do {
          try VfioUserServer(CopyingDevice.model, logger: logger).run(
            endpoint,
            until: stop.rawValue
          )
        } catch {
          logger.error("\(error)")
        }
      }
      var options = VfioUserRemote.Options(path: path, name: "remote")
      options.recorder = recorder
      let remote = try VfioUserRemote(options, logger: logger)
      function = try remote.makeFunction(wiring)
    case .mpqemu:
      let path = folder.path(of: "socket")
      let listener = Mutex<UnixListener?>(try UnixListener(path: path))
      server = try TestThread {
        guard let listener = listener.withLock({ $0.take() }) else { return }
        do {
          let server = try MPQEMUServer.make(CopyingDevice.model, logger: logger)
          var list = PollList()
          _ = list.add(listener.rawValue, for: .readable)
          _ = list.add(stop.rawValue, for: .readable)
          list.wait()
          guard let socket = listener.accept() else { return }
          try server.run(socket, until: stop.rawValue)
        } catch {
          logger.error("\(error)")
        }
      }
      let device = try MPQEMUDevice(
        MPQEMURemote(.socket(path), generation: .current, patience: 5000),
        name: "remote",
        recorder: recorder,
        logger: logger
      )
      function = try device.makeFunction(wiring)
    }
    bus = PCIRootBus(in: space)
    var allocator = PCIResourceAllocator(
      memory32: PCIWindow(base: Self.bar, size: 1 << 20),
      memory64: PCIWindow(base: 1 << 32, size: 1 << 20)
    )
    try allocator.assign(to: function)
    try bus.add(function, at: address)
    bus.write(0b110, address, 4, width: 2)
  }

  deinit {
    (function as? any RemotePCIFunction)?.stop()
    stop.signal()
    server?.join()
  }

  /// What the function says it is: vendor and device.
  var identity: UInt64 { bus.read(address, 0, width: 4) }

  /// Reads a register of a region.
  func read(_ offset: UInt64, _ width: Int, bar: Int = 0) -> UInt64 {
    place(bar).map { space.read($0 &+ offset, width: width) } ?? .max
  }

  /// Writes a register of a region.
  func write(_ value: UInt64, _ offset: UInt64, _ width: Int, bar: Int = 0) {
    guard let place = place(bar) else { return }
    space.write(value, place &+ offset, width: width)
  }

  /// Forbids the function to reach memory.
  func takeBusMaster() { bus.write(0b010, address, 4, width: 2) }

  /// Whether the guest has been interrupted by the pin since it was asked last.
  func waitForInterrupt() -> Bool {
    waitUntil { [line, resampled] in
      line.isAsserted || (resampled.events?.event.drain() ?? 0) > 0
    }
  }

  /// Whether a machine could save it.
  var canBeSaved: Bool { function is any SavedPCIFunction }

  /// Saves the function as a machine does that ends, or goes on afterwards.
  func save(goingOn: Bool = false) throws -> [UInt8] {
    let function = try #require(function as? any SavedPCIFunction)
    function.pause()
    defer { if goingOn { function.resume() } }
    return try function.saveState()
  }

  /// Has the function go on from a state.
  func restore(_ state: [UInt8]) throws {
    let function = try #require(function as? any SavedPCIFunction)
    function.pause()
    try function.restoreState(state)
    bus.followConfiguration(at: address)
    function.resume()
    function.signalRestart()
  }

  private func place(_ bar: Int) -> UInt64? { bus.placements(at: address)[bar] }
}
