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
    /// What the driver has said of the ports, for the next thread after a pause.
    var ports: [ConsolePortState?] = []
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
      // The driver, and what it was told, are as before the pause.
      guard state.ports.isEmpty else { return }
      state.changes = Changes()
    }
  }

  /// Ends for a while: the driver says nothing again that it has said.
  func pause() { state.withLock { $0.signals = nil } }

  /// Ends for good.
  func end() {
    state.withLock { state in
      state.signals = nil
      state.ports = []
    }
  }

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

  /// What the driver had said of the ports before a pause; empty if there was none.
  var keptPorts: [ConsolePortState?] { state.withLock { $0.ports } }

  /// Keeps what the driver has said of the ports, and is to be told.
  func keep(_ ports: [ConsolePortState?]) { state.withLock { $0.ports = ports } }

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
