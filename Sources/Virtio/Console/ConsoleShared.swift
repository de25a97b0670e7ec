import HostOS
import Synchronization

/// What a console and the thread of its queues have in common.
final class ConsoleShared: Sendable {
  /// The ports by number; `nil` for a console without a terminal.
  let ports: [ConsolePort?]
  /// Wakes the thread: something has changed that the guest is told of.
  let wake: EventFD
  private let state: Mutex<State>

  private struct State {
    var size: (columns: UInt16, rows: UInt16)?
    var isOpen: [Bool]
    var signals: VirtioSignals?
    var isMultiport = false
    var changes = Changes()
  }

  /// What happened at the host's ends since the thread looked last.
  struct Changes {
    var hasResized = false
    /// Ports where somebody came or went.
    var changed: Set<Int> = []
    /// Those where somebody went, whether or not the next one is there by now.
    var closed: Set<Int> = []
  }

  init(
    _ ports: [ConsolePort?],
    size: (columns: UInt16, rows: UInt16)?
  ) throws(SystemError) {
    self.ports = ports
    wake = try EventFD()
    state = Mutex(State(size: size, isOpen: ports.map { $0 != nil }))
  }

  // MARK: Life

  func begin(_ activation: VirtioActivation) {
    state.withLock { state in
      state.signals = activation.signals
      state.isMultiport = activation.features.contains(.consoleMultiport)
      state.changes = Changes()
    }
  }

  func end() { state.withLock { $0.signals = nil } }

  // MARK: From the host

  var size: (columns: UInt16, rows: UInt16)? { state.withLock { $0.size } }

  /// The terminal has another size.
  func resize(columns: UInt16, rows: UInt16) {
    let (signals, isMultiport) = state.withLock { state in
      guard let size = state.size, size != (columns, rows) else {
        return (nil as VirtioSignals?, false)
      }
      state.size = (columns, rows)
      state.changes.hasResized = true
      return (state.signals, state.isMultiport)
    }
    signals?.configurationChanged()
    if isMultiport { wake.signal() }
  }

  /// Somebody is at the other end of a port, or nobody any more.
  func setOpen(_ port: Int, _ isOpen: Bool) {
    let hasChanged = state.withLock { state in
      guard state.isOpen.indices.contains(port), state.isOpen[port] != isOpen else { return false }
      state.isOpen[port] = isOpen
      state.changes.changed.insert(port)
      if !isOpen { state.changes.closed.insert(port) }
      return state.isMultiport
    }
    if hasChanged { wake.signal() }
  }

  // MARK: On the thread

  /// Whether somebody is at the other end of a port.
  func isOpen(_ port: Int) -> Bool { state.withLock { $0.isOpen[port] } }

  /// What has changed since the last call.
  func takeChanges() -> Changes {
    state.withLock { state in
      defer { state.changes = Changes() }
      return state.changes
    }
  }
}
