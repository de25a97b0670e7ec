public import DeviceModel
public import HostOS
import Synchronization

/// A line that a test looks at: what would raise it, and what its interrupt's end signals.
public final class RecordingResampledLine: ResampledLine {
  private let state = Mutex<(event: EventFD, resample: EventFD)?>(nil)

  /// Makes a line with nothing connected.
  public init() {}

  /// What is connected.
  public var events: (event: EventFD, resample: EventFD)? { state.withLock { $0 } }

  /// Connects; a line that is connected already is the test's mistake.
  public func connect(_ event: EventFD, resample: EventFD) {
    state.withLock { state in
      precondition(state == nil, "connected twice")
      state = (event, resample)
    }
  }

  /// Forgets what is connected.
  public func disconnect() { state.withLock { $0 = nil } }
}
