import Glibc
import HostOS
import Synchronization

/// The host's end of a serial port or console: a terminal, a file, a socket, or nothing.
///
/// What the guest sends is written to a descriptor of ``makeOutput()``; what comes from outside is
/// delivered on a thread of this object, from ``start(_:onConnection:)`` to ``stop()``. A terminal is raw from the
/// start of this object to its end.
final class StreamPort: Sendable {
  /// Takes what came from outside, as much as there is room for; returns how much it took.
  typealias Receiver = @Sendable (ArraySlice<UInt8>) -> Int

  private let output: OwnedFileDescriptor?
  private let input: OwnedFileDescriptor?
  private let listener: UnixListener?
  private let device: OwnedFileDescriptor?
  /// The guest's bytes on their way to a client of ``listener``, or to ``device``.
  private let relayed: OwnedFileDescriptor?
  private let terminal: RawTerminal?
  /// Whether somebody is at the other end before ``start(_:onConnection:)`` tells of anybody.
  let isConnectedAtFirst: Bool
  private let wake: EventFD
  private let isStopping = Atomic(false)
  private let thread = Mutex<Thread?>(nil)
  private let onQuit: @Sendable () -> Void

  /// Opens the host's end.
  ///
  /// - Parameters:
  ///   - stream: What to open.
  ///   - onQuit: Called when a user types the escape sequence that ends the guest.
  /// - Throws: ``MachineError/stream(path:reason:)`` if it cannot be opened.
  init(_ stream: MachineConfiguration.Stream, onQuit: @escaping @Sendable () -> Void) throws {
    self.onQuit = onQuit
    wake = try EventFD()
    var ends = try StreamEnds(stream)
    output = ends.output.take()
    input = ends.input.take()
    listener = ends.listener.take()
    device = ends.device.take()
    relayed = ends.relayed.take()
    terminal = ends.terminal.take()
    isConnectedAtFirst = relayed == nil
  }

  /// A descriptor to write the guest's bytes to; `nil` if they go nowhere.
  func makeOutput() throws(SystemError) -> OwnedFileDescriptor? {
    try output.borrow { (output) throws(SystemError) in try output.duplicated() }
  }

  /// Starts to deliver what comes from outside.
  ///
  /// - Parameters:
  ///   - receiver: Takes it.
  ///   - onConnection: Told when somebody comes to the other end, and when nobody is there any more.
  /// - Throws: `SystemError` if the host has no room for a thread.
  func start(
    _ receiver: @escaping Receiver,
    onConnection: @escaping @Sendable (Bool) -> Void = { _ in }
  ) throws(SystemError) {
    guard input != nil || relayed != nil else { return }
    let new = try Thread("stream") { [self] in
      if relayed == nil { deliver(receiver) } else { serve(receiver, onConnection) }
    }
    var handle = Optional(new)
    thread.withLock { $0 = handle.take() }
  }

  /// Says that a receiver which had no room has some; any thread may call.
  func resume() { wake.signal() }

  /// Ends the delivery, and puts a terminal back as it was.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    wake.signal()
    // Letting go of the thread joins it.
    thread.withLock { $0 = nil }
    terminal?.restore()
  }

  // MARK: On the thread

  /// How long to leave a device alone that has nobody at its other end, in milliseconds.
  private static var pause: Int32 { 100 }
  /// How long a client waits for what another has left, which nobody takes, in nanoseconds.
  private static var patience: UInt64 { 1_000_000_000 }

  private var isEnding: Bool { isStopping.load(ordering: .acquiring) }

  /// Delivers from one descriptor that stays open.
  private func deliver(_ receiver: Receiver) {
    guard let number = input.borrow({ $0.rawValue }) else { return }
    var queue = StreamQueue(escape: terminal == nil ? nil : ConsoleEscape())
    var hasEnded = false
    while !isEnding {
      var list = PollList()
      let wakePlace = list.add(wake.rawValue, for: .readable)
      let place = queue.isEmpty && !hasEnded ? list.add(number, for: .readable) : nil
      list.wait(timeout: queue.patience)
      if list.isReady(wakePlace) { wake.drain() }
      if let place, list.isReady(place) { hasEnded = !fill(&queue, from: number) }
      queue.deliver(receiver)
    }
  }

  /// Serves one client of the socket after another, or whoever is at the other end of the device.
  private func serve(_ receiver: Receiver, _ onConnection: (Bool) -> Void) {
    guard let guest = relayed.borrow({ $0.rawValue }) else { return }
    try? FileIO.setNonBlocking(guest)
    let listening = listener.borrow { $0.rawValue }
    while !isEnding {
      if let device = device.borrow({ $0.rawValue }), let first = Self.visitor(at: device) {
        serve(device, saying: first, guest: guest, receiver, onConnection)
        continue
      }
      var list = PollList()
      let wakePlace = list.add(wake.rawValue, for: .readable)
      let place = listening.map { list.add($0, for: .readable) }
      let guestPlace = list.add(guest, for: .readable)
      // A device does not say that somebody has come.
      list.wait(timeout: listening == nil ? Self.pause : nil)
      if list.isReady(wakePlace) { wake.drain() }
      // What the guest says while nobody listens is lost, as on a line with nothing attached.
      if list.isReady(guestPlace) { Self.discard(guest) }
      if let place, list.isReady(place) {
        listener.borrow { listener in
          guard let client = listener.accept() else { return }
          serve(client.rawValue, saying: [], guest: guest, receiver, onConnection)
        }
      }
    }
  }

  /// Serves a client until it has gone and all that it said has been read; `first` has been.
  private func serve(
    _ client: Int32,
    saying first: [UInt8],
    guest: Int32,
    _ receiver: Receiver,
    _ onConnection: (Bool) -> Void
  ) {
    onConnection(true)
    defer { onConnection(false) }
    var relay = Relay(from: guest, to: client)
    var queue = StreamQueue(escape: nil)
    _ = queue.append(first)
    queue.deliver(receiver)
    var isListening = true
    var hasGone = false
    var deadline: UInt64?
    while !isEnding {
      var list = PollList()
      let wakePlace = list.add(wake.rawValue, for: .readable)
      let relayPlace =
        isListening ? relay.register(in: &list) : list.add(guest, for: .readable)
      let isReading = queue.isEmpty
      let place =
        isReading ? list.add(client, for: .readable) : hasGone ? nil : list.add(client, for: [])
      list.wait(timeout: queue.patience)
      if list.isReady(wakePlace) { wake.drain() }
      if let relayPlace, list.isReady(relayPlace) {
        if !isListening {
          Self.discard(guest)
        } else if list.hasHungUp(relayPlace) {
          isListening = false
        } else {
          relay.advance()
          isListening = !relay.hasEnded
        }
      }
      if let place, list.isReady(place) {
        if !isReading { hasGone = true } else if !fill(&queue, from: client) { return }
      }
      queue.deliver(receiver)
      // What one who has gone said keeps the next out only for a while.
      guard hasGone, !queue.isEmpty, isSomebodyWaiting else {
        deadline = nil
        if queue.isEmpty { hasGone = false }
        continue
      }
      let now = MonotonicClock.nanoseconds
      if now >= deadline ?? .max { return }
      deadline = deadline ?? now + Self.patience
    }
    if isListening { Self.finish(&relay) }
  }

  /// Whether a client waits for another to go.
  private var isSomebodyWaiting: Bool {
    guard let number = listener.borrow({ $0.rawValue }) else { return false }
    var list = PollList()
    let place = list.add(number, for: .readable)
    list.wait(timeout: 0)
    return list.isReady(place)
  }

  private static func discard(_ number: Int32) { _ = try? FileIO.read(number, atMost: 4096) }

  /// What somebody who has gone has left, or nothing if somebody is at the other end of the device; `nil` if
  /// there is neither.
  private static func visitor(at device: Int32) -> [UInt8]? {
    var list = PollList()
    let place = list.add(device, for: .readable)
    list.wait(timeout: 0)
    guard list.hasHungUp(place) else { return [] }
    guard let bytes = try? FileIO.read(device, atMost: 4096), !bytes.isEmpty else { return nil }
    return bytes
  }

  /// Delivers what the guest said last; a client that does not read it in time goes without.
  private static func finish(_ relay: inout Relay) {
    while true {
      var list = PollList()
      guard let place = relay.register(in: &list) else { return }
      list.wait(timeout: relay.isDrained ? 0 : 200)
      guard list.isReady(place) else { return }
      relay.advance()
    }
  }

  /// Reads what is there.
  ///
  /// - Returns: False at the end of the input.
  private func fill(_ queue: inout StreamQueue, from number: Int32) -> Bool {
    do throws(SystemError) {
      guard let bytes = try FileIO.read(number, atMost: 4096) else { return true }
      for request in queue.append(bytes) {
        switch request {
        case .quit: onQuit()
        case .help: try? FileIO.writeAll(STDERR_FILENO, Array(ConsoleEscape.help.utf8))
        }
      }
      return !bytes.isEmpty
    } catch {
      return false
    }
  }
}
