import Glibc
import HostOS
import Synchronization

/// The host's end of a serial port or console: a terminal, a file, a socket, or nothing.
///
/// What the guest sends is written to a descriptor of ``makeOutput()``; what comes from outside is
/// delivered on a thread of this object, from ``start(_:)`` to ``stop()``. A terminal is raw from the
/// start of this object to its end.
final class StreamPort: Sendable {
  /// Takes what came from outside, as much as there is room for; returns how much it took.
  typealias Receiver = @Sendable (ArraySlice<UInt8>) -> Int

  private let output: OwnedFileDescriptor?
  private let input: OwnedFileDescriptor?
  private let listener: UnixListener?
  /// The guest's bytes on their way to a client of ``listener``.
  private let relayed: OwnedFileDescriptor?
  private let terminal: RawTerminal?
  /// Whether the input has an end for a while only, as a device's while nobody is at its other end.
  private let mayReturn: Bool
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
    if case .device = stream { mayReturn = true } else { mayReturn = false }
    switch stream {
    case .none:
      output = nil
      input = nil
      listener = nil
      relayed = nil
      terminal = nil
    case .standard:
      output = try OwnedFileDescriptor(duplicating: STDOUT_FILENO)
      // Input that was closed is no reason not to run.
      input = try? OwnedFileDescriptor(duplicating: STDIN_FILENO)
      terminal = RawTerminal.isTerminal(STDIN_FILENO) ? try RawTerminal(STDIN_FILENO) : nil
      listener = nil
      relayed = nil
    case .file(let path):
      output = try Self.open(path, O_WRONLY | O_CREAT | O_TRUNC)
      input = nil
      listener = nil
      relayed = nil
      terminal = nil
    case .device(let path):
      // Opened once: a virtio port can have one user.
      let device = try Self.open(path, O_RDWR)
      output = try device.duplicated()
      input = consume device
      listener = nil
      relayed = nil
      terminal = nil
    case .unix(let path):
      let pair = try SocketPair()
      do throws(SystemError) {
        listener = try UnixListener(path: path)
      } catch {
        throw MachineError.stream(path: "unix:\(path)", reason: error.reason)
      }
      output = try pair.far.duplicated()
      relayed = try pair.near.duplicated()
      input = nil
      terminal = nil
    }
  }

  /// A descriptor to write the guest's bytes to; `nil` if they go nowhere.
  func makeOutput() throws(SystemError) -> OwnedFileDescriptor? {
    try output.borrow { (output) throws(SystemError) in try output.duplicated() }
  }

  /// Starts to deliver what comes from outside.
  func start(_ receiver: @escaping Receiver) throws(SystemError) {
    guard input != nil || listener != nil else { return }
    let new = try Thread("stream") { [self] in
      if listener == nil { deliver(receiver) } else { serve(receiver) }
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

  private var isEnding: Bool { isStopping.load(ordering: .acquiring) }

  /// Delivers from one descriptor that stays open.
  private func deliver(_ receiver: Receiver) {
    guard let number = input.borrow({ $0.rawValue }) else { return }
    var queue = Queue(escape: terminal == nil ? nil : ConsoleEscape())
    var hasEnded = false
    while !isEnding {
      var list = PollList()
      let wakePlace = list.add(wake.rawValue, for: .readable)
      let isReading = queue.isEmpty && !hasEnded
      let place = isReading ? list.add(number, for: .readable) : nil
      list.wait(timeout: hasEnded && mayReturn ? Self.pause : queue.patience)
      if list.isReady(wakePlace) { wake.drain() }
      // Whoever is at the other end of a device comes and goes: look again.
      if mayReturn { hasEnded = false }
      if let place, list.isReady(place) {
        hasEnded = !fill(&queue, from: number)
      }
      queue.deliver(receiver)
    }
  }

  /// Serves one client of the socket after another.
  private func serve(_ receiver: Receiver) {
    guard let listening = listener.borrow({ $0.rawValue }),
      let guest = relayed.borrow({ $0.rawValue })
    else { return }
    try? FileIO.setNonBlocking(guest)
    while !isEnding {
      var list = PollList()
      let wakePlace = list.add(wake.rawValue, for: .readable)
      let place = list.add(listening, for: .readable)
      let guestPlace = list.add(guest, for: .readable)
      list.wait()
      if list.isReady(wakePlace) { wake.drain() }
      // What the guest says while nobody listens is lost, as on a line with nothing attached.
      if list.isReady(guestPlace) { _ = try? FileIO.read(guest, atMost: 4096) }
      if list.isReady(place) {
        listener.borrow { listener in
          guard let client = listener.accept() else { return }
          serve(client.rawValue, guest: guest, receiver)
        }
      }
    }
  }

  private func serve(_ client: Int32, guest: Int32, _ receiver: Receiver) {
    var relay = Relay(from: guest, to: client)
    var queue = Queue(escape: nil)
    while !isEnding, !relay.hasEnded {
      var list = PollList()
      let wakePlace = list.add(wake.rawValue, for: .readable)
      let relayPlace = relay.register(in: &list)
      let place = queue.isEmpty ? list.add(client, for: .readable) : nil
      list.wait(timeout: queue.patience)
      if list.isReady(wakePlace) { wake.drain() }
      if let relayPlace, list.isReady(relayPlace) { relay.advance() }
      if let place, list.isReady(place), !fill(&queue, from: client) { return }
      queue.deliver(receiver)
    }
    if isEnding { Self.finish(&relay) }
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
  private func fill(_ queue: inout Queue, from number: Int32) -> Bool {
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

  /// Bytes that came from outside and wait for the guest.
  private struct Queue {
    private var bytes: ArraySlice<UInt8> = []
    private var escape: ConsoleEscape?

    init(escape: ConsoleEscape?) { self.escape = escape }

    var isEmpty: Bool { bytes.isEmpty }

    /// How long to wait for anything, in milliseconds: not every receiver says when it has room.
    var patience: Int32? { bytes.isEmpty ? nil : 50 }

    mutating func append(_ typed: [UInt8]) -> [ConsoleEscape.Request] {
      guard let (passed, requests) = escape?.feed(typed) else {
        bytes += typed
        return []
      }
      bytes += passed
      return requests
    }

    mutating func deliver(_ receiver: Receiver) {
      guard !bytes.isEmpty else { return }
      bytes = bytes.dropFirst(receiver(bytes))
    }
  }

  private static func open(_ path: String, _ flags: Int32) throws -> OwnedFileDescriptor {
    do throws(SystemError) {
      return try OwnedFileDescriptor(opening: path, flags | O_NOCTTY, mode: 0o644)
    } catch {
      throw MachineError.stream(path: path, reason: error.reason)
    }
  }
}
