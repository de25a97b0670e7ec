import GuestMemory
import Logging
import Synchronization
import TestSupport
import Virtio

/// A device with a driver, and nothing but the shared registers between them.
struct DeviceRig {
  let memory: GuestMemory
  let interrupts = RecordingInterrupts()
  let log = LogLines()
  let controller: VirtioDeviceController
  let driver: MockDriver
  let transport: DirectTransport

  init(_ device: any VirtioDevice, memoryCount: UInt64 = 4 << 20) throws {
    memory = try GuestMemory(count: memoryCount)
    controller = try VirtioDeviceController(
      device,
      memory: memory,
      interrupts: interrupts,
      logger: log.makeLogger()
    )
    transport = DirectTransport(controller)
    driver = MockDriver(transport, in: memory)
  }
}

/// Keeps what is logged, for tests to look at.
final class LogLines: Sendable {
  private let kept = Mutex<[String]>([])

  /// The lines so far.
  var lines: [String] { kept.withLock { $0 } }

  /// A logger that writes here.
  func makeLogger() -> Logger { Logger(label: "test") { _ in Handler(target: self) } }

  private struct Handler: LogHandler {
    let target: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      target.kept.withLock { $0.append("\(event.level): \(event.message)") }
    }
  }
}
