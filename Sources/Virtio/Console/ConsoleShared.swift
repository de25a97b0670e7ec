import DeviceModel
import HostOS
import Synchronization

/// What a console and the thread of its queues have in common.
final class ConsoleShared: Sendable {
  /// The ports by number; `nil` for a console without a terminal.
  let ports: [ConsolePort?]
  /// Wakes the thread: something has changed that the guest is told of.
  let wake: EventFD
  /// Who has the host's ends, if another process has.
  private let link: ConsoleLink?
  private let state: Mutex<State>

  private struct State {
    var size: (columns: UInt16, rows: UInt16)?
    var isOpen: [Bool]
    var signals: VirtioSignals?
    var isMultiport = false
    var changes = Changes()
    /// What the driver has said of the ports, for the next thread after a pause.
    var ports: [ConsolePortState?] = []
    /// Of each port, how much of the first chain to come from the guest has gone out already.
    var sent: [UInt64]
  }

  /// Of a port, how much of a chain that was put back has gone out.
  struct Sent {
    private let shared: ConsoleShared
    private let number: Int
    private let signals: VirtioSignals

    init(_ shared: ConsoleShared, _ number: Int, _ signals: VirtioSignals) {
      self.shared = shared
      self.number = number
      self.signals = signals
    }

    func store(_ count: UInt64) { shared.state.withLock { $0.sent[number] = count } }

    /// Takes it, for the next chain; it is of no other, not even after our death.
    func take() -> UInt64 {
      let count = shared.state.withLock { state in
        defer { state.sent[number] = 0 }
        return state.sent[number]
      }
      if count > 0 { signals.stateChanged() }
      return count
    }
  }

  /// What happened at the host's ends since the thread looked last.
  struct Changes {
    var hasResized = false
    /// Ports where somebody came or went.
    var changed: Set<Int> = []
    /// Those where somebody went, whether or not the next one is there by now.
    var closed: Set<Int> = []
    /// What the monitor has told, by port.
    fileprivate var openings: [Int: UInt64] = [:]

    var isEmpty: Bool { !hasResized && changed.isEmpty && closed.isEmpty }
  }

  init(
    _ ports: [ConsolePort?],
    size: (columns: UInt16, rows: UInt16)?
  ) throws(SystemError) {
    self.ports = ports
    link = nil
    wake = try EventFD()
    state = Mutex(
      State(
        size: size,
        isOpen: ports.map { $0 != nil },
        sent: Array(repeating: 0, count: ports.count)
      )
    )
  }

  init(_ link: ConsoleLink) {
    ports = link.ports
    self.link = link
    wake = link.news
    state = Mutex(
      State(
        isOpen: link.ports.indices.map { Self.isOpen(link.memory.openings($0)) },
        sent: Array(repeating: 0, count: link.ports.count)
      )
    )
  }

  private static func isOpen(_ openings: UInt64) -> Bool { openings & 1 == 1 }

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
      state.sent = state.sent.map { _ in 0 }
    }
    for port in ports {
      port?.link?.forget(.input)
      port?.link?.forget(.output)
    }
  }

  /// The driver has reset a queue.
  func forgetQueue(_ index: Int) {
    guard index < 2 || index > 3 else { return }
    let number = index < 2 ? 0 : (index - 2) / 2
    guard ports.indices.contains(number) else { return }
    if index % 2 == 1 { state.withLock { $0.sent[number] = 0 } }
    ports[number]?.link?.forget(index % 2 == 0 ? .input : .output)
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
      if let link { Self.note(link, &state) }
      return state.changes
    }
  }

  /// Looks at what the monitor tells of the ends.
  private static func note(_ link: ConsoleLink, _ state: inout State) {
    for port in link.ports.indices {
      let (now, seen) = (link.memory.openings(port), link.memory.seen(port))
      guard now != seen else { continue }
      state.changes.openings[port] = now
      state.changes.changed.insert(port)
      state.isOpen[port] = isOpen(now)
      // The one who was there has gone, if there is another.
      if !isOpen(now) || now &- seen > 1 { state.changes.closed.insert(port) }
    }
  }

  /// Takes down that these changes need not be found again: the state that is kept has them.
  func settle(_ changes: Changes) {
    guard let link else { return }
    for (port, openings) in changes.openings { link.memory.setSeen(openings, of: port) }
  }

  // MARK: State

  private enum Flag {
    static var isReady: UInt8 { 1 }
    static var isGuestOpen: UInt8 { 2 }
    static var isOpen: UInt8 { 4 }
    static var all: UInt8 { 7 }
  }

  /// What the driver has said of the ports and is to be told, and what has gone out; nothing if that is all as at first.
  var savedState: [UInt8] {
    let (ports, isOpen, sent) = state.withLock { ($0.ports, $0.isOpen, $0.sent) }
    guard ports.count > 1 || sent.contains(where: { $0 > 0 }) else { return [] }
    var writer = FieldWriter()
    writer.append(UInt8(sent.count))
    for number in sent.indices {
      let port = ports.indices.contains(number) ? ports[number] : nil
      var flags: UInt8 = isOpen[number] ? Flag.isOpen : 0
      if port?.isReady == true { flags |= Flag.isReady }
      if port?.isGuestOpen ?? (sent.count == 1) { flags |= Flag.isGuestOpen }
      writer.append(flags)
      writer.append(port?.due.rawValue ?? 0)
      writer.append(sent[number])
    }
    return writer.bytes
  }

  func restore(_ bytes: [UInt8]) throws(VirtioStateError) {
    guard !bytes.isEmpty else { return }
    var reader = FieldReader(bytes)
    let wrong = VirtioStateError.badDevice(
      "\(bytes.count) bytes are no state of a console with \(ports.count) ports"
    )
    guard let count = reader.take(UInt8.self), Int(count) == ports.count else { throw wrong }
    var restored: [(port: ConsolePortState, isOpen: Bool, sent: UInt64)] = []
    for _ in 0..<count {
      guard let flags = reader.take(UInt8.self), flags & ~Flag.all == 0,
        let due = reader.take(UInt8.self), due & ~ConsolePortState.Due.all.rawValue == 0,
        let sent = reader.take(UInt64.self)
      else { throw wrong }
      var port = ConsolePortState(isGuestOpen: flags & Flag.isGuestOpen != 0)
      port.isReady = flags & Flag.isReady != 0
      port.due = ConsolePortState.Due(rawValue: due)
      restored.append((port, flags & Flag.isOpen != 0, sent))
    }
    guard reader.count == 0 else { throw wrong }
    state.withLock { state in
      state.ports = zip(ports, restored).map { $0 == nil ? nil : $1.port }
      state.sent = restored.map(\.sent)
      // Whoever was at the host's end of the device before is not at ours.
      for (number, before) in restored.enumerated() where before.isOpen != state.isOpen[number] {
        state.changes.changed.insert(number)
        if before.isOpen { state.changes.closed.insert(number) }
      }
    }
  }
}
