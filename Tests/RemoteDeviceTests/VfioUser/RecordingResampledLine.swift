import DeviceModel
import HostOS
import Synchronization

/// A line that a test looks at: what would raise it, and what its interrupt's end signals.
final class RecordingResampledLine: ResampledLine {
  private let state = Mutex<(event: EventFD, resample: EventFD)?>(nil)

  /// What is connected.
  var events: (event: EventFD, resample: EventFD)? { state.withLock { $0 } }

  func connect(_ event: EventFD, resample: EventFD) {
    state.withLock { state in
      precondition(state == nil, "connected twice")
      state = (event, resample)
    }
  }

  func disconnect() { state.withLock { $0 = nil } }
}
