import Platform
import Synchronization

/// The far end of a serial wire that keeps what arrives, up to a limit that the test moves.
final class RecordingBackend: SerialBackend {
  private struct State {
    var bytes: [UInt8] = []
    var room: Int
    var ready: (@Sendable () -> Void)?
  }

  private let state: Mutex<State>

  init(room: Int = .max) { state = Mutex(State(room: room)) }

  var text: String { state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }

  func transmit(_ byte: UInt8) -> Bool {
    state.withLock { state in
      guard state.room > 0 else { return false }
      state.room -= 1
      state.bytes.append(byte)
      return true
    }
  }

  func whenReady(_ action: @escaping @Sendable () -> Void) { state.withLock { $0.ready = action } }

  /// Makes room for `count` bytes and tells the port.
  func makeRoom(for count: Int) {
    let ready = state.withLock { state in
      state.room = count
      return state.ready
    }
    ready?()
  }
}
