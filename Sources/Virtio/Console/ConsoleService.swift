import GuestMemory
import HostOS

/// Serves the queues of a console, of all its ports, on one thread.
final class ConsoleService: QueueService {
  /// What a queue is for (virtio 1.2, 5.3.2).
  private enum Role {
    case receive(Int)
    case transmit(Int)
    case controlReceive
    case controlTransmit
  }

  private static var batch: Int { 16 }

  private let shared: ConsoleShared
  private let signals: VirtioSignals
  private let log: LimitedLog
  private let isMultiport: Bool
  private let ports: [ConsolePortService?]
  private var chain: DescriptorChain
  // Queues that had nothing to do when they were served last, and wait for something.
  private var idle: Set<Int> = []
  // What the driver was told last, which it sees by the time that a queue is served again.
  private var told: (port: Int, event: ConsolePortState.Due)?

  init(_ shared: ConsoleShared, _ activation: VirtioActivation) {
    self.shared = shared
    signals = activation.signals
    log = activation.signals.log
    let isMultiport = activation.features.contains(.consoleMultiport)
    self.isMultiport = isMultiport
    let kept = shared.keptPorts
    ports = shared.ports.enumerated().map { number, port in
      guard let port else { return nil }
      let state = kept.isEmpty ? nil : kept[number]
      return ConsolePortService(
        port,
        queue: Self.receiveQueue(of: number),
        state ?? ConsolePortState(isGuestOpen: !isMultiport),
        ConsoleShared.Sent(shared, number, activation.signals),
        activation
      )
    }
    chain = DescriptorChain(in: activation.memory)
  }

  var completions: Int32? { shared.wake.rawValue }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    settleTold()
    takeChanges()
    idle.remove(queue.index)
    // What has changed may be for another queue, for which nothing else would come.
    defer { wakeOthers() }
    return switch role(of: queue.index) {
    case .receive(let number): try receive(number, &queue)
    case .transmit(let number): try transmit(number, &queue)
    case .controlReceive: try tell(&queue)
    case .controlTransmit: try obey(&queue)
    case nil: .ended
    }
  }

  func finish(_ queue: inout Virtqueue) {
    idle.remove(queue.index)
    settleTold()
    // The thread may end for a pause of which the driver learns nothing.
    shared.keep(ports.map { $0?.state })
    guard case .transmit(let number) = role(of: queue.index) else { return }
    ports[number]?.finishTransmitting(&queue)
  }

  /// The first port's two, the two for control, and then two for each other port.
  private func role(of index: Int) -> Role? {
    if index < 2 { return index == 0 ? .receive(0) : .transmit(0) }
    guard isMultiport else { return nil }
    if index < 4 { return index == 2 ? .controlReceive : .controlTransmit }
    let number = (index - 2) / 2
    guard ports.indices.contains(number) else { return nil }
    return index % 2 == 0 ? .receive(number) : .transmit(number)
  }

  private static func receiveQueue(of port: Int) -> Int { port == 0 ? 0 : 2 * port + 2 }

  // MARK: Waking

  private func takeChanges() {
    shared.wake.drain()
    guard isMultiport else { return }
    let changes = shared.takeChanges()
    for (number, port) in ports.enumerated() {
      guard let port, port.state.isReady else { continue }
      if changes.hasResized, port.port.name == nil { port.state.due.insert(.resize) }
      // Whoever has the port open in the guest learns that there is somebody else now, even if the one had
      // come by the time that the other was noticed to have gone.
      if changes.closed.contains(number) {
        port.state.due.insert(.close)
        port.state.due.remove(.open)
      }
      if changes.changed.contains(number), shared.isOpen(number) { port.state.due.insert(.open) }
    }
    guard !changes.isEmpty else { return }
    keep()
    shared.settle(changes)
  }

  /// Keeps what the driver has said, and is to be told, for whoever goes on after this process's death.
  private func keep() {
    guard isMultiport else { return }
    shared.keep(ports.map { $0?.state })
    signals.stateChanged()
  }

  /// Notes that the driver sees what it was told: it is not told again, not even after our death.
  private func settleTold() {
    guard let (port, event) = told.take() else { return }
    ports[port]?.state.due.subtract(event)
    keep()
  }

  /// Has the thread serve the queues that have something to do by now.
  ///
  /// Again and again until they are served: a signal may have been taken by another queue's turn.
  private func wakeOthers() {
    let isTold = idle.contains(2) && ports.contains { $0?.isTellable == true }
    let isRead = ports.indices.contains { number in
      idle.contains(Self.receiveQueue(of: number)) && ports[number]?.state.isGuestOpen == true
    }
    if isMultiport, isTold || isRead { shared.wake.signal() }
  }

  /// What a queue returns that has nothing to do.
  private func wait(_ queue: borrowing Virtqueue) -> QueueOutcome {
    idle.insert(queue.index)
    return .waiting
  }

  // MARK: Data

  private func receive(
    _ number: Int,
    _ queue: inout Virtqueue
  ) throws(VirtqueueError) -> QueueOutcome {
    guard let port = ports[number] else { return .ended }
    // What comes while nobody in the guest has the port open, its driver would throw away.
    guard port.state.isGuestOpen else { return wait(queue) }
    return try port.receive(&queue)
  }

  private func transmit(
    _ number: Int,
    _ queue: inout Virtqueue
  ) throws(VirtqueueError) -> QueueOutcome {
    guard let port = ports[number] else {
      // A console without a terminal: what is printed goes nowhere.
      for _ in 0..<Self.batch {
        guard try queue.pop(into: &chain) else { return .drained }
        queue.complete(chain, written: 0)
      }
      return .busy
    }
    return try port.transmit(&queue)
  }

  // MARK: Control

  /// Tells the driver of ports (5.3.6.2), one thing at a time.
  private func tell(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    guard let number = ports.firstIndex(where: { $0?.isTellable == true }),
      let port = ports[number]
    else { return wait(queue) }
    guard try queue.pop(into: &chain) else { return .drained }
    let (message, event) = message(of: port, number)
    guard UInt64(message.count) <= chain.writableCount else {
      // 5.3.6.2.2: a buffer has room for the message; it waits for one that does.
      log.warning("a control buffer of \(chain.writableCount) bytes for \(message.count)")
      queue.complete(chain, written: 0)
      return .busy
    }
    queue.complete(chain, written: UInt32(chain.write(message)))
    told = (number, event)
    return .busy
  }

  /// The first message that is due.
  private func message(
    of port: ConsolePortService,
    _ number: Int
  ) -> (bytes: [UInt8], event: ConsolePortState.Due) {
    if port.state.due.contains(.add) { return (ConsoleControl(.add, port: number).bytes, .add) }
    if port.state.due.contains(.console) {
      return (ConsoleControl(.console, port: number).bytes, .console)
    }
    if port.state.due.contains(.resize) {
      let size = shared.size ?? (0, 0)
      let words = [size.columns, size.rows].flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
      return (ConsoleControl(.resize, port: number).bytes + words, .resize)
    }
    if port.state.due.contains(.name) {
      let name = Array((port.port.name ?? "").utf8)
      return (ConsoleControl(.name, port: number).bytes + name, .name)
    }
    let event: ConsolePortState.Due = port.state.due.contains(.close) ? .close : .open
    return (ConsoleControl(.open, port: number, value: event == .open ? 1 : 0).bytes, event)
  }

  /// Takes the driver's messages.
  private func obey(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      guard try queue.pop(into: &chain) else { return .drained }
      let count = chain.readableCount
      if let message = ConsoleControl(&chain) {
        obey(message)
      } else {
        log.warning("a control message of \(count) bytes, less than \(ConsoleControl.size)")
      }
      keep()
      queue.complete(chain, written: 0)
    }
    return .busy
  }

  private func obey(_ message: ConsoleControl) {
    let number = Int(message.port)
    let port = ports.indices.contains(number) ? ports[number] : nil
    switch (ConsoleControl.Event(rawValue: message.event), port) {
    case (.deviceReady, _):
      for port in ports {
        port?.state.isReady = false
        port?.state.isGuestOpen = false
        port?.state.due = message.value == 0 ? [] : .add
      }
    case (.portReady, let port?):
      port.state.isReady = message.value != 0
      port.state.due = []
      guard port.state.isReady else {
        log.warning("the driver has no use for port \(number)")
        return
      }
      if port.port.name == nil {
        port.state.due.insert(.console)
        if shared.size != nil { port.state.due.insert(.resize) }
      } else {
        port.state.due.insert(.name)
      }
      if shared.isOpen(number) { port.state.due.insert(.open) }
    case (.open, let port?): port.state.isGuestOpen = message.value != 0
    default:
      log.warning("control message \(message.event) for port \(message.port): ignored")
    }
  }
}
