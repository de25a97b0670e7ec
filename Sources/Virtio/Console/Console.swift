public import HostOS
import Synchronization

/// A virtio console (virtio 1.2, 5.3): a terminal between the guest and two descriptors, and any number
/// of ports with names beside it.
///
/// What the guest prints goes to the output, and it reads what comes from the input; a guest that
/// prints faster than the output takes it is slowed down, and nothing is lost. A driver that knows one
/// port only has the terminal. Left out of the standard is the emergency write.
public final class Console: VirtioDevice {
  /// The most ports beside the terminal.
  public static var portLimit: Int { 30 }

  /// The device's name in the log.
  public let name: String

  private let shared: ConsoleShared
  private let hasSize: Bool
  private let workers: QueueWorkers

  /// Makes a console.
  ///
  /// - Parameters:
  ///   - terminal: The terminal; `nil` for none, which throws away what the guest prints there.
  ///   - ports: The ports beside it, each with a name of its own; at most ``portLimit``.
  ///   - size: Columns and rows of the terminal, if they are known.
  ///   - threads: Who serves its queues; see ``QueueWorkers``.
  ///   - name: The device's name in log lines and of its thread.
  /// - Throws: `SystemError` if the host has no descriptor left.
  public init(
    _ terminal: ConsolePort?,
    ports: [ConsolePort] = [],
    size: (columns: UInt16, rows: UInt16)? = nil,
    threads: [QueueThread] = [],
    name: String = "console0"
  ) throws(SystemError) {
    precondition(ports.count <= Self.portLimit, "\(ports.count) ports")
    self.name = name
    hasSize = size != nil
    shared = try ConsoleShared([terminal] + ports, size: size)
    let count = ports.isEmpty ? 2 : 2 * ports.count + 4
    workers = QueueWorkers(name, groups: [Array(0..<count)], threads: threads)
  }

  /// Makes a console whose ends another process has.
  ///
  /// - Parameters:
  ///   - link: What leads there.
  ///   - name: The device's name in log lines and of its thread.
  public init(_ link: ConsoleLink, name: String) {
    self.name = name
    hasSize = false
    shared = ConsoleShared(link)
    let count = link.ports.count == 1 ? 2 : 2 * link.ports.count + 2
    workers = QueueWorkers(name, groups: [Array(0..<count)])
  }

  /// A console.
  public var type: VirtioDeviceType { .console }

  /// The size, if it is known, and several ports where there are; one buffer is used after the other.
  public var features: VirtioFeatures {
    var features: VirtioFeatures = .inOrder
    if hasSize { features.insert(.consoleSize) }
    if shared.ports.count > 1 { features.insert(.consoleMultiport) }
    return features
  }

  /// The queue to the guest, then the one from it; the same for control, and then for each port (5.3.2).
  public var queueSizes: [UInt16] {
    let ports = shared.ports.count - 1
    guard ports > 0 else { return [64, 64] }
    return Array(repeating: 64, count: 2 * ports + 4)
  }

  /// `struct virtio_console_config` (5.3.4).
  public var configurationCount: Int { 12 }

  /// Columns and rows, and the number of ports.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    var bytes = ConfigurationBytes()
    if let size = shared.size {
      bytes.set(size.columns, at: 0)
      bytes.set(size.rows, at: 2)
    }
    if shared.ports.count > 1 { bytes.set(UInt32(shared.ports.count), at: 4) }
    return bytes.read(offset: offset, width: width)
  }

  /// Tells the guest that its terminal has another size now; no effect without one from the start.
  ///
  /// Any thread may call.
  public func resize(columns: UInt16, rows: UInt16) {
    shared.resize(columns: columns, rows: rows)
  }

  /// Tells the guest whether somebody is at the host's end of a port; at first there is.
  ///
  /// Any thread may call. What the guest writes while there is nobody waits in the guest.
  ///
  /// - Parameters:
  ///   - port: The number of the port, from 1 on.
  ///   - isOpen: Whether somebody is there.
  public func setHostEnd(of port: Int, open isOpen: Bool) { shared.setOpen(port, isOpen) }

  /// Makes what serves the queues, for a loop other than that of a ``QueueThread``.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active.
  public func makeService(_ activation: VirtioActivation) -> any QueueService {
    ConsoleService(shared, activation)
  }

  /// Starts the thread that serves all queues.
  public func activate(_ activation: VirtioActivation) throws {
    let shared = shared
    shared.begin(activation)
    try workers.start(activation) { _ in ConsoleService(shared, activation) }
  }

  /// Ends the thread.
  public func reset() {
    workers.stop()
    shared.end()
  }

  /// Ends the thread; what the driver has said of the ports stays.
  public func suspend() {
    workers.stop()
    shared.pause()
  }

  /// What the driver has said of several ports; what has come from it is out, and nothing of a terminal is kept.
  public var savedState: [UInt8] { shared.savedState }

  /// Takes it over; the driver is told of ends where somebody is now or nobody any more.
  public func restore(_ state: [UInt8]) throws(VirtioStateError) { try shared.restore(state) }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) {
    workers.stopQueue(index)
    shared.forgetQueue(index)
  }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}

extension VirtioFeatures {
  /// `VIRTIO_CONSOLE_F_SIZE`: the configuration has the columns and rows (5.3.3).
  @inlinable public static var consoleSize: Self { Self(bit: 0) }
  /// `VIRTIO_CONSOLE_F_MULTIPORT`: there may be several ports, and messages about them.
  @inlinable public static var consoleMultiport: Self { Self(bit: 1) }
}
