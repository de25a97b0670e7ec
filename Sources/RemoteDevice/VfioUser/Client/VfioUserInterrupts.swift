import DeviceModel
import HostOS
import Logging
import PCI
import Synchronization

/// How a server interrupts the guest: through the pin, or through MSI-X.
///
/// Owned by the lock of its function.
struct VfioUserInterrupts: ~Copyable {
  /// How a guest wants to be interrupted.
  enum Choice {
    case pin, msi, msix
  }

  private let line: any ResampledLine
  private let msix: MSIX?
  private let msi: MSI?
  private let hasPin: Bool
  // How the server interrupts; `nil` if it does not.
  private var mode: Choice?
  /// What the server signals for the pin, and what it is signalled with at the end of the interrupt.
  private var events: (level: EventFD, end: EventFD)?
  /// Whether the server has to be told of the end by message.
  private var tellsEnds = false

  init(line: any ResampledLine, msix: MSIX?, msi: MSI?, hasPin: Bool) {
    self.line = line
    self.msix = msix
    self.msi = msi
    self.hasPin = hasPin
  }

  /// Signalled at ends of interrupts that the server has to be told of.
  var ends: EventFD? { tellsEnds ? events?.end : nil }

  /// Has the server use what the guest has chosen.
  ///
  /// - Throws: ``VfioUserError``; the server may be asked again after that only once it was reset.
  mutating func choose(
    _ choice: Choice,
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    let wanted: Choice? = choice == .pin && !hasPin ? nil : choice
    guard wanted != mode else { return }
    try leave(connection, deadline)
    switch wanted {
    case nil: break
    case .pin: try enterPin(connection, deadline)
    case .msi:
      let triggers = (0..<(msi?.vectorCount ?? 0)).compactMap { msi?.trigger($0)?.share() }
      try enterMessages(VfioUserInterrupt.msi, triggers, connection, deadline)
    case .msix:
      let triggers = (0..<(msix?.vectorCount ?? 0)).compactMap { msix?.trigger($0)?.share() }
      try enterMessages(VfioUserInterrupt.msix, triggers, connection, deadline)
    }
    mode = wanted
  }

  /// Has the server interrupt no more.
  mutating func leave(
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    let kind: UInt32
    switch mode {
    case nil: return
    case .pin: kind = VfioUserInterrupt.pin
    case .msi: kind = VfioUserInterrupt.msi
    case .msix: kind = VfioUserInterrupt.msix
    }
    forget()
    // No interrupts at all, which is what takes all eventfds away.
    try Self.set(kind, 0, 0, .none, .trigger, [], connection, deadline)
  }

  /// Forgets a server that is gone.
  mutating func forget() {
    if mode == .pin { line.disconnect() }
    mode = nil
    events = nil
    tellsEnds = false
  }

  /// Lowers the pin's line as the end of an interrupt does: the server asserts again if it has to.
  mutating func release() throws {
    guard mode == .pin, let events else { return }
    line.disconnect()
    try line.connect(events.level, resample: events.end)
    events.end.signal()
  }

  /// Tells a server that an interrupt has ended; without waiting, since the reader does.
  static func tellEnd(_ connection: VfioUserLink) {
    let set = VfioUserInterruptSet(
      index: VfioUserInterrupt.pin,
      start: 0,
      interruptCount: 1,
      data: .none,
      action: .unmask
    )
    // A failure has ended the connection, which the reader is about to see.
    try? connection.queue(.setInterrupts(set, hasDescriptors: false))
  }

  private mutating func enterPin(
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    let (level, end): (EventFD, EventFD)
    do throws(SystemError) {
      (level, end) = (try EventFD(), try EventFD())
    } catch {
      throw connection.end(.host(error))
    }
    do {
      try line.connect(level, resample: end)
    } catch {
      throw connection.end(.lacks("an interrupt pin that can be attached: \(error)"))
    }
    mode = .pin
    events = (level, end)
    let pin = VfioUserInterrupt.pin
    try Self.set(pin, 0, 1, .events, .trigger, [level.share()], connection, deadline)
    do throws(VfioUserError) {
      try Self.set(pin, 0, 1, .events, .unmask, [end.share()], connection, deadline)
    } catch {
      guard case .refused = error else { throw error }
      tellsEnds = true
    }
    try Self.set(pin, 0, 1, .none, .unmask, [], connection, deadline)
  }

  private func enterMessages(
    _ kind: UInt32,
    _ triggers: [Int32],
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    let step = connection.descriptorLimit
    for start in stride(from: 0, to: triggers.count, by: step) {
      let some = Array(triggers[start..<min(start + step, triggers.count)])
      try Self.set(
        kind,
        start,
        some.count,
        .events,
        .trigger,
        some,
        connection,
        deadline
      )
    }
  }

  private static func set(
    _ kind: UInt32,
    _ start: Int,
    _ count: Int,
    _ data: VfioUserInterruptSet.Data,
    _ action: VfioUserInterruptSet.Action,
    _ descriptors: [Int32],
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    let set = VfioUserInterruptSet(
      index: kind,
      start: UInt32(start),
      interruptCount: UInt32(count),
      data: data,
      action: action
    )
    try connection.tell(
      .setInterrupts(set, hasDescriptors: !descriptors.isEmpty),
      descriptors: descriptors,
      deadline: deadline
    )
  }
}
