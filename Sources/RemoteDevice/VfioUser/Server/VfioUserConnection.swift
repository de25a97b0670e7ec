import DeviceModel
import Glibc
import HostOS
import Synchronization

/// A connection to a client, over which both ends ask.
///
/// The server's thread takes requests and replies to them. Any thread may ask for memory, that one included
/// in the middle of a request: it waits for the reply with the connection's lock held, and keeps the requests that come
/// meanwhile for the server's thread. Where there is a twin socket, replies come over that.
final class VfioUserConnection: DMAPeer {
  /// What came.
  enum Incoming: ~Copyable {
    case packet(VfioUserPacket)
    case nothing
    case end
  }

  /// A socket for what we ask, used with the connection's lock held.
  private final class Twin: @unchecked Sendable {
    // Sendable: see above.
    var channel: VfioUserChannel

    init(_ channel: consuming VfioUserChannel) { self.channel = channel }
  }

  private struct State: ~Copyable {
    var channel: VfioUserChannel
    var twin: Twin?
    var backlog = VfioUserBacklog()
    var hasEnded = false
    var nextID: UInt16 = 0
    var dataLimit = 1 << 20
    var failure: VfioUserError?
  }

  // Held for as long as a reply is waited for, but not while a request is carried out.
  private let state: Mutex<State>
  /// How long the replies to one read or write are waited for, in nanoseconds.
  private let patience: UInt64
  /// Signalled when there is something for the server's thread that its socket does not show.
  private let wake: EventFD
  /// For polling.
  let socketNumber: Int32

  /// Talks over a connected socket.
  init(_ socket: consuming OwnedFileDescriptor, patience: UInt64, waking wake: EventFD) {
    self.patience = patience
    socketNumber = socket.rawValue
    self.wake = wake
    state = Mutex(State(channel: VfioUserChannel(socket)))
  }

  // MARK: On the server's thread

  /// Whether a message waits to be taken; until then no request is looked at.
  var isSending: Bool { state.withLock { $0.channel.isSending } }

  /// Since when the client has been in the middle of a message, or has not taken one.
  var waitsSince: UInt64? { state.withLock { $0.channel.waitsSince } }

  /// How many bytes of a message have come.
  var partialCount: Int { state.withLock { $0.channel.receiver.partialCount } }

  /// What the client is to be cut off for, if another thread found it.
  var failure: VfioUserError? { state.withLock { $0.failure } }

  /// Takes the next request, if there is one and nothing waits to be sent.
  func next() throws(VfioUserError) -> Incoming {
    try state.withLock { (state) throws(VfioUserError) -> Incoming in
      if let failure = state.failure { throw failure }
      try state.channel.flush()
      if state.channel.isSending { return .nothing }
      if let packet = state.backlog.takeFirst() {
        return .packet(packet)
      }
      if state.hasEnded { return .end }
      switch try state.channel.receive() {
      case .packet(let packet): return .packet(packet)
      case .nothing: return .nothing
      case .end: return .end
      }
    }
  }

  /// Sends a message, as far as it is taken at once.
  func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws(VfioUserError) {
    try state.withLock { (state) throws(VfioUserError) in
      try state.channel.send(bytes, descriptors: descriptors)
    }
  }

  /// Applies what both ends have agreed on.
  ///
  /// - Parameters:
  ///   - ours: The most data that one message to us may carry.
  ///   - theirs: The most data that one message to the client may carry.
  func agree(ours: Int, theirs: Int) {
    state.withLock { state in
      state.channel.receiver.allow(data: ours)
      state.dataLimit = theirs
    }
  }

  /// Makes a socket of its own for what we ask, and returns the client's end of it.
  func makeTwin() throws(SystemError) -> OwnedFileDescriptor {
    let pair = try SocketPair()
    let twin = Twin(VfioUserChannel(try pair.near.duplicated()))
    let far = try pair.far.duplicated()
    state.withLock { state in
      twin.channel.receiver.allow(data: state.dataLimit)
      state.twin = twin
    }
    return far
  }

  // MARK: On any thread

  func readMemory(at address: UInt64, count: Int) throws(DMAError) -> [UInt8] {
    var bytes: [UInt8] = []
    let end = MonotonicClock.nanoseconds &+ patience
    while bytes.count < count {
      let place = address &+ UInt64(bytes.count)
      let access = VfioUserDMAAccess(
        address: place,
        count: UInt64(min(count - bytes.count, dataLimit))
      )
      guard case .dma(access, let data) = try ask(.readDMA(access), at: place, until: end) else {
        throw fail(.badValue(.readDMA, "a reply to something else"))
      }
      bytes += data
    }
    return bytes
  }

  func writeMemory(_ bytes: [UInt8], at address: UInt64) throws(DMAError) {
    var done = 0
    let end = MonotonicClock.nanoseconds &+ patience
    while done < bytes.count {
      let place = address &+ UInt64(done)
      let part = Array(bytes[done...].prefix(dataLimit))
      let access = VfioUserDMAAccess(address: place, count: UInt64(part.count))
      guard case .wroteDMA(access) = try ask(.writeDMA(access, part), at: place, until: end) else {
        throw fail(.badValue(.writeDMA, "a reply to something else"))
      }
      done += part.count
    }
  }

  private var dataLimit: Int { state.withLock { $0.dataLimit } }

  /// Asks, and waits for the reply.
  private func ask(
    _ request: VfioUserRequest,
    at address: UInt64,
    until end: UInt64
  ) throws(DMAError) -> VfioUserReply {
    do throws(VfioUserError) {
      return try state.withLock { (state) throws(VfioUserError) in
        if state.failure != nil || state.hasEnded { throw .ended }
        defer { if !state.backlog.isEmpty || state.hasEnded { wake.signal() } }
        let id = state.nextID
        state.nextID &+= 1
        if let twin = state.twin {
          do throws(VfioUserError) {
            return try ask(twin, request, id, dataLimit: state.dataLimit, until: end)
          } catch {
            // A client that means to go closes both.
            guard error == .ended, !Self.hasHungUp(state.channel) else { throw error }
            throw .lacks("the socket for replies any more")
          }
        }
        try state.channel.send(request.message(id: id))
        while true {
          if let reply = try Self.receive(id, request.command, &state) { return reply }
          try wait(state.channel, for: request.command, until: end)
        }
      }
    } catch {
      switch error {
      case .refused(_, let number):
        throw .refused(address: address, code: Int32(clamping: number))
      case .ended: throw .disconnected
      case .silent:
        _ = fail(error)
        throw .timedOut(address: address)
      default: throw fail(error)
      }
    }
  }

  /// Takes what is there, up to the reply.
  private static func receive(
    _ id: UInt16,
    _ command: VfioUserCommand,
    _ state: inout State
  ) throws(VfioUserError) -> VfioUserReply? {
    try state.channel.flush()
    while true {
      switch try state.channel.receive() {
      case .nothing: return nil
      case .end:
        state.hasEnded = true
        throw .ended
      case .packet(let packet):
        if packet.header.isReply {
          guard packet.header.id == id else {
            throw .unexpectedReply(command: packet.header.command, id: packet.header.id)
          }
          return try packet.reply(to: command, dataLimit: state.dataLimit)
        }
        try state.backlog.append(packet)
      }
    }
  }

  private func ask(
    _ twin: Twin,
    _ request: VfioUserRequest,
    _ id: UInt16,
    dataLimit: Int,
    until end: UInt64
  ) throws(VfioUserError) -> VfioUserReply {
    try twin.channel.send(request.message(id: id))
    while true {
      try twin.channel.flush()
      switch try twin.channel.receive() {
      case .end: throw .ended
      case .packet(let packet):
        guard packet.header.isReply, packet.header.id == id else {
          throw .unexpectedReply(command: packet.header.command, id: packet.header.id)
        }
        return try packet.reply(to: request.command, dataLimit: dataLimit)
      case .nothing: try wait(twin.channel, for: request.command, until: end)
      }
    }
  }

  private func wait(
    _ channel: borrowing VfioUserChannel,
    for command: VfioUserCommand,
    until end: UInt64
  ) throws(VfioUserError) {
    let now = MonotonicClock.nanoseconds
    guard now < end else { throw .silent(command, seconds: Int(patience / 1_000_000_000)) }
    var list = PollList()
    _ = list.add(channel.rawValue, for: channel.isSending ? [.readable, .writable] : .readable)
    list.wait(timeout: Int32(clamping: (end - now) / 1_000_000 + 1))
  }

  private static func hasHungUp(_ channel: borrowing VfioUserChannel) -> Bool {
    var list = PollList()
    let place = list.add(channel.rawValue, for: [])
    list.wait(timeout: 0)
    return list.hasHungUp(place)
  }

  /// Has the server's thread cut the client off.
  private func fail(_ error: VfioUserError) -> DMAError {
    state.withLock { state in
      if state.failure == nil { state.failure = error }
    }
    wake.signal()
    return .disconnected
  }
}
