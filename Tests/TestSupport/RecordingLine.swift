public import DeviceModel
import Synchronization

/// An interrupt line that remembers its level and how often it rose.
public final class RecordingLine: InterruptLine {
  private let state = Mutex((isAsserted: false, rises: 0))

  /// Makes a line that is de-asserted.
  public init() {}

  /// The level now.
  public var isAsserted: Bool { state.withLock { $0.isAsserted } }
  /// How often the line went from de-asserted to asserted.
  public var rises: Int { state.withLock { $0.rises } }

  /// Raises the line.
  public func assert() {
    state.withLock { state in
      if !state.isAsserted { state.rises += 1 }
      state.isAsserted = true
    }
  }

  /// Lowers the line.
  public func deassert() { state.withLock { $0.isAsserted = false } }
}
