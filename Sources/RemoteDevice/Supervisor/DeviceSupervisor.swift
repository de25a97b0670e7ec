public import HostOS
public import Logging
import Synchronization

/// Keeps the process of one device running, and hands out connections to it.
///
/// A thread of its own starts the process and waits for its end, which is logged with its cause: an exit, a
/// signal, or what the device's user found wrong with it. Another is started in its place; after too many
/// deaths in a row the device has failed for good. The process ends with us, however we end. Any thread may
/// call.
public final class DeviceSupervisor: ConnectionSource {
  /// What there is of the device's process.
  public enum Phase: Equatable, Sendable {
    /// It is being started.
    case starting
    /// It runs, with this id.
    case running(Int32)
    /// It died, and another is started soon.
    case waiting
    /// No other is started; why.
    case failed(String)
    /// It was told to end.
    case ended
  }

  private let keeper: ProcessKeeper
  private let thread: Thread

  /// Starts `program` as the process of the device `name`.
  ///
  /// - Throws: `SystemError` if the host has no descriptor or thread left.
  public init(
    _ name: String,
    _ program: DeviceProgram,
    policy: RestartPolicy = RestartPolicy(),
    logger: Logger
  ) throws(SystemError) {
    let keeper = try ProcessKeeper(name, program, policy, logger)
    self.keeper = keeper
    // The kernel kills the process with the thread that started it.
    thread = try Thread("\(name).watch") { keeper.run() }
  }

  /// Ends the process, which is given a second to end by itself; returns when it is gone.
  deinit { keeper.stop() }

  /// What there is of the process now.
  public var phase: Phase { keeper.state.withLock { $0.phase } }

  /// Has `program` serve the device from now on, in place of the process that does.
  ///
  /// What is under way is ended or taken over, as after a death; a device that has failed is tried again.
  public func replace(with program: DeviceProgram) {
    keeper.state.withLock { state in
      state.program = program
      state.isReplaced = true
    }
    keeper.wake.signal()
  }

  /// Sends the process a signal, if there is one now.
  public func signal(_ number: Int32) {
    keeper.state.withLock { $0.signal = number }
    keeper.wake.signal()
  }

  // MARK: ConnectionSource

  /// What messages call the process.
  public var place: String { "process of \(keeper.name)" }
  /// Readable when a process was started, or none will be any more.
  public var ready: Int32? { keeper.change.rawValue }

  /// Why no process is started any more, if that is so.
  public var failure: String? {
    if case .failed(let reason) = phase { reason } else { nil }
  }

  /// Takes the connection to the process, which there is once for each.
  public func connect() throws(SystemError) -> OwnedFileDescriptor? {
    keeper.change.drain()
    return keeper.state.withLock { $0.connection.take() }
  }

  /// Notes that the process serves the device.
  public func settle() {
    keeper.state.withLock { $0.settledAt = MonotonicClock.nanoseconds }
  }

  /// Has the process killed unless it ends by itself soon: it has closed its connection.
  public func abandon() {
    keeper.state.withLock { $0.isAbandoned = true }
    keeper.wake.signal()
  }

  /// Has the process killed, which hangs or broke the protocol.
  public func reject(_ reason: String) {
    keeper.state.withLock { $0.complaint = $0.complaint ?? reason }
    keeper.wake.signal()
  }
}
