public import HostOS
import Synchronization

/// A virtio console with one port (virtio 1.2, 5.3), between the guest and two descriptors.
///
/// What the guest prints goes to the output, and it reads what comes from the input; a guest that
/// prints faster than the output takes it is slowed down, and nothing is lost. The descriptors may
/// be pipes, sockets, terminals or files; make them non-blocking where nobody else minds.
public final class Console: VirtioDevice {
  /// The device's name in the log.
  public let name: String

  private let port: ConsolePort
  private let workers: QueueWorkers
  private let state: Mutex<State>

  private struct State {
    var signals: VirtioSignals?
    var bytes = ConfigurationBytes()
  }

  private let hasSize: Bool

  /// Makes a console.
  ///
  /// - Parameters:
  ///   - input: Where the guest's input comes from; `nil` for none.
  ///   - output: Where the guest's output goes; `nil` throws it away.
  ///   - size: Columns and rows, if they are known.
  ///   - name: The device's name in log lines and of its thread.
  public init(
    input: consuming OwnedFileDescriptor?,
    output: consuming OwnedFileDescriptor?,
    size: (columns: UInt16, rows: UInt16)? = nil,
    name: String = "console0"
  ) {
    self.name = name
    hasSize = size != nil
    workers = QueueWorkers(name, groups: [[0, 1]])
    port = ConsolePort(input: input, output: output)
    var initial = State()
    if let size {
      initial.bytes.set(size.columns, at: 0)
      initial.bytes.set(size.rows, at: 2)
    }
    state = Mutex(initial)
  }

  /// A console.
  public var type: VirtioDeviceType { .console }
  /// The size, if it is known; one buffer is used after the other.
  public var features: VirtioFeatures { hasSize ? [.consoleSize, .inOrder] : .inOrder }
  /// The queue to the guest, then the one from it (5.3.2).
  public var queueSizes: [UInt16] { [64, 64] }
  /// `struct virtio_console_config` (5.3.4).
  public var configurationCount: Int { 12 }

  /// Columns and rows.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { $0.bytes.read(offset: offset, width: width) }
  }

  /// Tells the guest that its terminal has another size now; no effect without one from the start.
  public func resize(columns: UInt16, rows: UInt16) {
    guard hasSize else { return }
    let signals = state.withLock { state in
      state.bytes.set(columns, at: 0)
      state.bytes.set(rows, at: 2)
      return state.signals
    }
    signals?.configurationChanged()
  }

  /// Starts the thread that serves both queues.
  public func activate(_ activation: VirtioActivation) throws {
    let port = port
    try workers.start(activation) { _ in ConsoleService(port, activation) }
    state.withLock { $0.signals = activation.signals }
  }

  /// Ends the thread.
  public func reset() {
    state.withLock { $0.signals = nil }
    workers.stop()
  }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}

extension VirtioFeatures {
  /// `VIRTIO_CONSOLE_F_SIZE`: the configuration has the columns and rows (5.3.3).
  @inlinable public static var consoleSize: Self { Self(bit: 0) }
}
