import Glibc
public import HostOS

/// Sends what a recording says to a device's process, and compares what that answers.
///
/// Messages go out in their order, each answer is waited for where the recording has it, and nothing else is: the device has no more time to
/// think than it takes. What the device asks, such as memory by messages, is answered with what was recorded. Eventfds and memory are
/// stand-ins: nobody rings, and files of memory have their size and nothing in them. Owned by one thread.
public struct Replay: ~Copyable {
  /// What is different.
  public struct Difference: Error, Equatable, Sendable, CustomStringConvertible {
    /// The number of the message in its connection, from 1 on.
    public let message: Int
    /// The device, and which message it is.
    public let name: String
    /// The field or byte, with what was expected and what came.
    public let what: String

    /// One line for a user.
    public var description: String { "message \(message) (\(name)): \(what)" }
  }

  /// How a replay is done.
  public struct Options: Sendable {
    /// Which connection, by its number; the first if not given.
    public var connection: UInt32?
    /// Whether messages wait for the time that they were sent at.
    public var keepsTime = false
    /// How long the device may take for a message, in milliseconds.
    public var patience = 10_000

    /// The first connection, as fast as the device goes.
    public init() {}
  }

  private static var waitingLimit: Int { 4096 }
  private static var waitingByteLimit: Int { 32 << 20 }

  private let connection: RecordedConnection
  private let options: Options
  private var main: ReplaySocket
  private var second: ReplaySocket?
  // What came while something else was waited for.
  private var waiting: [(isSecond: Bool, bytes: [UInt8], kinds: [RecordedDescriptor])] = []
  private var waitingByteCount = 0
  // vfio-user: the number that the device has given a request, by the one it had.
  private var numbers: [UInt16: UInt16] = [:]
  private var count = 0
  // When the recording would have begun.
  private var begin: UInt64?

  private init(
    _ connection: RecordedConnection,
    _ socket: consuming OwnedFileDescriptor,
    _ options: Options
  ) {
    self.connection = connection
    self.options = options
    main = ReplaySocket(socket, connection.protocol)
  }

  /// Finds the connection that is to be replayed.
  ///
  /// - Throws: ``RecordingError``, or `SystemError` if the file cannot be read.
  public static func find(
    _ number: UInt32?,
    in reader: inout RecordingReader
  ) throws -> RecordedConnection {
    while let record = try reader.next() {
      if case .connection(let connection) = record, number ?? connection.number == connection.number
      {
        return connection
      }
    }
    throw RecordingError.noConnection(number.map { "\($0)" } ?? "at all")
  }

  /// Replays a connection to the process at the other end of `socket`.
  ///
  /// - Parameters:
  ///   - connection: What ``find(_:in:)`` has found in `reader` just before.
  ///   - reader: The recording.
  ///   - socket: Connected to a process that serves such a device to one peer.
  ///   - options: How.
  /// - Returns: How many messages there were.
  /// - Throws: ``Difference`` at the first one; ``RecordingError``; `SystemError` if the host fails.
  public static func run(
    _ connection: RecordedConnection,
    from reader: inout RecordingReader,
    to socket: consuming OwnedFileDescriptor,
    _ options: Options = Options()
  ) throws -> Int {
    var replay = Replay(connection, socket, options)
    records: while let record = try reader.next() {
      switch record {
      case .message(let message) where message.connection == connection.number:
        replay.count += 1
        if message.isFromDevice { try replay.expect(message) } else { try replay.send(message) }
      case .end(let end) where end.connection == connection.number: break records
      default: break
      }
    }
    return replay.count
  }

  // MARK: To the device

  private mutating func send(_ message: RecordedMessage) throws {
    if options.keepsTime {
      let begin = begin ?? MonotonicClock.nanoseconds &- message.time
      self.begin = begin
      Self.sleep(until: begin &+ message.time)
    }
    var bytes = message.bytes
    if connection.protocol == .vfioUser, connection.protocol.isReply(bytes) {
      let recorded = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
      // What was not asked this time is not answered.
      guard let number = numbers.removeValue(forKey: recorded) else { return }
      (bytes[0], bytes[1]) = (UInt8(truncatingIfNeeded: number), UInt8(number >> 8))
    }
    guard message.descriptors.count <= DescriptorBatch.capacity else {
      throw RecordingError.notReplayable(message: count, "\(message.descriptors.count) descriptors")
    }
    var kept: [KeptDescriptor] = []
    for descriptor in message.descriptors {
      guard var standIn = try ReplayStandIn.make(descriptor) else {
        throw RecordingError.notReplayable(message: count, "a descriptor of an unknown kind")
      }
      try kept.append(KeptDescriptor(standIn.descriptor.duplicated()))
      if let other = standIn.other.take() { second = ReplaySocket(other, connection.protocol) }
    }
    let numbers = kept.map(\.rawValue)
    let deadline = deadline
    let isTaken: Bool
    do throws(SystemError) {
      if message.isSecond {
        guard let taken = try second?.send(bytes, numbers, deadline) else {
          throw SystemError(call: "replay", code: ENOTCONN)
        }
        isTaken = taken
      } else {
        isTaken = try main.send(bytes, numbers, deadline)
      }
    } catch {
      throw difference(message.bytes, "the device does not take it (\(error.reason))")
    }
    guard isTaken else { throw difference(message.bytes, "the device does not take it in time") }
  }

  private static func sleep(until time: UInt64) {
    let now = MonotonicClock.nanoseconds
    guard time > now else { return }
    var nothing = PollList()
    nothing.wait(timeout: Int32(clamping: (time - now) / 1_000_000))
  }

  // MARK: From the device

  private mutating func expect(_ message: RecordedMessage) throws {
    let isReply = connection.protocol.isReply(message.bytes)
    let (bytes, kinds) = try receive(message, isReply: isReply)
    try compare(message, bytes, isReply: isReply)
    guard kinds == message.descriptors else {
      throw difference(
        message.bytes,
        "descriptors are \(Self.text(kinds)), recorded \(Self.text(message.descriptors))"
      )
    }
    if connection.protocol == .vfioUser, !isReply {
      let recorded = UInt16(message.bytes[0]) | UInt16(message.bytes[1]) << 8
      numbers[recorded] = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
    }
  }

  /// The next message of the device's of that kind, over that socket.
  private mutating func receive(
    _ message: RecordedMessage,
    isReply: Bool
  ) throws -> (bytes: [UInt8], kinds: [RecordedDescriptor]) {
    let spoken = connection.protocol
    let deadline = deadline
    while true {
      if let index = waiting.firstIndex(where: {
        $0.isSecond == message.isSecond && spoken.isReply($0.bytes) == isReply
      }) {
        let found = waiting.remove(at: index)
        waitingByteCount -= found.bytes.count
        return (found.bytes, found.kinds)
      }
      var incoming = ReplaySocket.Incoming.end
      if message.isSecond {
        guard let came = try second?.receive(deadline) else {
          throw difference(message.bytes, "there is no second socket")
        }
        incoming = came
      } else {
        incoming = try main.receive(deadline)
      }
      switch incoming {
      case .message(let bytes):
        // A device that talks without end is no better than one that says nothing.
        waitingByteCount += bytes.count
        guard waiting.count < Self.waitingLimit, waitingByteCount <= Self.waitingByteLimit else {
          throw difference(message.bytes, "\(waiting.count) other messages come first")
        }
        waiting.append((message.isSecond, bytes, keep(isSecond: message.isSecond)))
      case .nothing:
        throw difference(message.bytes, "nothing comes for \(options.patience / 1000) s")
      case .end: throw difference(message.bytes, "the device has closed the connection")
      case .noMessage(let bytes):
        throw difference(message.bytes, "\(bytes) begins no message")
      }
    }
  }

  /// What came with the last message; a socket is the second one.
  private mutating func keep(isSecond: Bool) -> [RecordedDescriptor] {
    var kinds: [RecordedDescriptor] = []
    while true {
      var next: OwnedFileDescriptor?
      if isSecond { next = second?.takeDescriptor() } else { next = main.takeDescriptor() }
      guard let descriptor = next.take() else { return kinds }
      kinds.append(RecordedDescriptor(descriptor.rawValue))
      if kinds.last?.kind == .socket, !isSecond {
        second = ReplaySocket(descriptor, connection.protocol)
      }
    }
  }

  private func compare(
    _ message: RecordedMessage,
    _ bytes: [UInt8],
    isReply: Bool
  ) throws(Difference) {
    // The number of its own request is the device's to choose.
    let first = connection.protocol == .vfioUser && !isReply ? 2 : 0
    for index in first..<max(first, min(bytes.count, message.bytes.count))
    where bytes[index] != message.bytes[index] {
      throw difference(
        message.bytes,
        "\(connection.protocol.field(at: index)) is \(Self.hex(bytes[index])), "
          + "recorded \(Self.hex(message.bytes[index]))"
      )
    }
    guard bytes.count == message.bytes.count else {
      throw difference(
        message.bytes,
        "there are \(bytes.count) bytes, recorded \(message.bytes.count)"
      )
    }
  }

  private var deadline: UInt64 {
    MonotonicClock.nanoseconds &+ UInt64(options.patience) * 1_000_000
  }

  private func difference(_ bytes: [UInt8], _ what: String) -> Difference {
    let kind = connection.protocol.isReply(bytes) ? "reply to " : ""
    return Difference(
      message: count,
      name: "\(connection.name), \(kind)\(connection.protocol.name(bytes))",
      what: what
    )
  }

  private static func hex(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return "0x" + (digits.count < 2 ? "0" : "") + digits
  }

  private static func text(_ kinds: [RecordedDescriptor]) -> String {
    let all = kinds.map { $0.kind == .file ? "a file of \($0.size) bytes" : "\($0.kind)" }
    return all.isEmpty ? "none" : all.joined(separator: ", ")
  }
}
