import DeviceModel
import Glibc
import HostOS
import Synchronization

/// A connection to a client, over which both ends ask.
///
/// The server's thread takes requests and replies to them. Any thread may ask for memory, that one included
/// in the middle of a request. Whoever reads keeps the requests that come for the server's thread, and hands
/// replies to who waits for them; no lock is held over the wait, so that the client gets its replies meanwhile: it may
/// need one before it answers. Where there is a twin socket, we ask over that, one thread at a time.
final class VfioUserConnection: DMAPeer {
  /// What came.
  enum Incoming: ~Copyable {
    case packet(VfioUserPacket)
    case nothing
    case end
  }

  /// A socket for what we ask, of the thread that asks at the moment.
  private final class Twin: Sendable {
    let channel: Mutex<VfioUserChannel>

    init(_ channel: consuming sending VfioUserChannel) { self.channel = Mutex(channel) }
  }

  /// A question whose reply somebody waits for.
  private struct Question {
    let command: VfioUserCommand
    /// Signalled with the reply.
    let event: EventFD
    var outcome: Result<VfioUserReply, VfioUserError>?
  }

  private struct State: ~Copyable {
    var channel: VfioUserChannel
    var twin: Twin?
    var backlog = VfioUserBacklog()
    var hasEnded = false
    var questions: [UInt16: Question] = [:]
    var nextID: UInt16 = 0
    var dataLimit = 1 << 20
    var failure: VfioUserError?
  }

  // Never held over a wait.
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
      if let packet = state.backlog.takeFirst() { return .packet(packet) }
      try receiveOrFail(&state)
      if let packet = state.backlog.takeFirst() { return .packet(packet) }
      return state.hasEnded ? .end : .nothing
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
    var channel = VfioUserChannel(try pair.near.duplicated())
    channel.receiver.allow(data: state.withLock { $0.dataLimit })
    let twin = Twin(channel)
    let far = try pair.far.duplicated()
    state.withLock { $0.twin = twin }
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
      let (id, twin, limit) = try state.withLock { (state) throws(VfioUserError) in
        if state.failure != nil || state.hasEnded { throw .ended }
        // As many threads do not ask.
        while state.questions[state.nextID] != nil { state.nextID &+= 1 }
        defer { state.nextID &+= 1 }
        return (state.nextID, state.twin, state.dataLimit)
      }
      guard let twin else { return try ask(request, id, until: end) }
      do throws(VfioUserError) {
        return try ask(twin, request, id, dataLimit: limit, until: end)
      } catch {
        // A client that means to go closes both.
        guard error == .ended, !state.withLock({ Self.hasHungUp($0.channel) }) else { throw error }
        throw .lacks("the socket for replies any more")
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

  private func ask(
    _ request: VfioUserRequest,
    _ id: UInt16,
    until end: UInt64
  ) throws(VfioUserError) -> VfioUserReply {
    let event: EventFD
    do throws(SystemError) { event = try EventFD() } catch { throw .host(error) }
    try state.withLock { (state) throws(VfioUserError) in
      if state.failure != nil || state.hasEnded { throw .ended }
      try state.channel.send(request.message(id: id))
      state.questions[id] = Question(command: request.command, event: event)
    }
    while true {
      let (outcome, isSending) = try state.withLock { (state) throws(VfioUserError) in
        // What was taken in for the server's thread is not shown by its socket.
        defer { if !state.backlog.isEmpty || state.hasEnded { wake.signal() } }
        if state.questions[id]?.outcome == nil, !state.hasEnded { try receiveOrFail(&state) }
        let outcome = state.questions[id]?.outcome
        if outcome != nil || state.hasEnded { state.questions[id] = nil }
        if outcome == nil, state.hasEnded { throw .ended }
        return (outcome, state.channel.isSending)
      }
      if let outcome { return try outcome.get() }
      let now = MonotonicClock.nanoseconds
      guard now < end else {
        state.withLock { $0.questions[id] = nil }
        throw .silent(request.command, seconds: Int(patience / 1_000_000_000))
      }
      var list = PollList()
      _ = list.add(event.rawValue, for: .readable)
      _ = list.add(socketNumber, for: isSending ? [.readable, .writable] : .readable)
      list.wait(timeout: Int32(clamping: (end - now) / 1_000_000 + 1))
      event.drain()
    }
  }

  private func receiveOrFail(_ state: inout State) throws(VfioUserError) {
    do throws(VfioUserError) {
      try state.channel.flush()
      try Self.receive(&state)
    } catch {
      // Nothing that comes after it is of any use to anybody.
      if state.failure == nil { state.failure = error }
      Self.end(&state)
      throw error
    }
  }

  /// Takes in what is there: requests for the server's thread, replies for who waits for them.
  private static func receive(_ state: inout State) throws(VfioUserError) {
    while !state.hasEnded {
      switch try state.channel.receive() {
      case .nothing: return
      case .end: end(&state)
      case .packet(let packet):
        guard packet.header.isReply else {
          try state.backlog.append(packet)
          // One by one, unless a reply is waited for that may be behind it.
          if state.questions.isEmpty { return }
          continue
        }
        let id = packet.header.id
        guard var question = state.questions[id], question.outcome == nil else {
          throw .unexpectedReply(command: packet.header.command, id: id)
        }
        do throws(VfioUserError) {
          let reply = try packet.reply(to: question.command, dataLimit: state.dataLimit)
          question.outcome = .success(reply)
        } catch {
          guard case .refused = error else { throw error }
          question.outcome = .failure(error)
        }
        state.questions[id] = question
        question.event.signal()
      }
    }
  }

  /// Notes that nothing comes any more, for who waits.
  private static func end(_ state: inout State) {
    state.hasEnded = true
    for question in state.questions.values { question.event.signal() }
  }

  private func ask(
    _ twin: Twin,
    _ request: VfioUserRequest,
    _ id: UInt16,
    dataLimit: Int,
    until end: UInt64
  ) throws(VfioUserError) -> VfioUserReply {
    try twin.channel.withLock { (channel) throws(VfioUserError) in
      try channel.send(request.message(id: id))
      while true {
        try channel.flush()
        switch try channel.receive() {
        case .end: throw .ended
        case .packet(let packet):
          guard packet.header.isReply, packet.header.id == id else {
            throw .unexpectedReply(command: packet.header.command, id: packet.header.id)
          }
          return try packet.reply(to: request.command, dataLimit: dataLimit)
        case .nothing: try wait(channel, for: request.command, until: end)
        }
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
