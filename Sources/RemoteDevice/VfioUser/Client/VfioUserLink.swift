import Glibc
import HostOS
import Synchronization

/// One connection to a server, from the greeting to its end.
///
/// Any thread asks; one thread at a time, the reader, hands out what comes. Who asks while it is the reader
/// itself reads meanwhile. Where the server has a second socket for what it asks, all that comes over the first are
/// answers, and one of those who ask reads them, for itself and the others: a register is read without a
/// third thread. No lock is held while anything is waited for.
final class VfioUserLink: Sendable {
  private struct Asked {
    var questions: [UInt16: VfioUserQuestion] = [:]
    var nextID: UInt16 = 0
    /// Why the connection has ended, if it has.
    var failure: VfioUserError?
    /// Eventfds for the next questions.
    var idle: [EventFD] = []
  }

  struct Input: ~Copyable {
    var receiver = VfioUserReceiver()
    /// A second socket for what the server asks, if it wants one.
    var twin: VfioUserChannel?
  }

  private let socket: OwnedFileDescriptor
  private let patience: Int
  let tap: MessageTap?
  private let service = Mutex<VfioUserService?>(nil)
  private let asked = Mutex(Asked())
  private let sender = Mutex(VfioUserSender())
  // The reader's alone; nobody waits for it.
  let input = Mutex(Input())
  private let reader: Atomic<Int32>
  /// Whether those who ask read the answers.
  let isShared = Atomic(false)
  // Whether one of them does at the moment.
  private let isReading = Atomic(false)
  let dataCount = Atomic(VfioUserLink.dataLimit)
  let descriptorCount = Atomic(1)

  /// The most data that a message may carry, in bytes.
  static var dataLimit: Int { 1 << 20 }
  // More than this, and nothing more is read until the server takes it.
  private static var backlogLimit: Int { 2 * dataLimit }
  // A server that sends without an end must let the reader do other things.
  private static var batch: Int { 64 }

  /// Talks over `socket`; the calling thread is the reader.
  ///
  /// - Parameters:
  ///   - socket: A connected one.
  ///   - patience: How long the server may take for one thing, in seconds.
  ///   - tap: Where messages are recorded, if they are.
  init(_ socket: consuming OwnedFileDescriptor, patience: Int, tap: MessageTap? = nil) {
    self.socket = socket
    self.patience = patience
    self.tap = tap
    sender.withLock { $0.tap = tap.map { ($0, false) } }
    input.withLock { $0.receiver.tap = tap.map { ($0, false) } }
    reader = Atomic(Thread.currentID)
  }

  /// Ends the calling thread's being the reader; until another is, answers wait.
  func handOver() { reader.store(0, ordering: .releasing) }

  /// Makes the calling thread the reader; nobody else is.
  func adopt() { reader.store(Thread.currentID, ordering: .releasing) }

  /// Has `service` answer what the server asks from now on; before, all of it is refused.
  func setService(_ answer: @escaping VfioUserService.Answer) {
    let service = VfioUserService(answer)
    self.service.withLock { $0 = service }
  }

  /// When something that begins now has to be over, on the monotonic clock.
  var deadline: UInt64 { MonotonicClock.nanoseconds &+ UInt64(patience) * 1_000_000_000 }
  /// The most data that the server takes in one message.
  var dataLimit: Int { dataCount.load(ordering: .relaxed) }
  /// The most descriptors that the server takes with one message.
  var descriptorLimit: Int { descriptorCount.load(ordering: .relaxed) }
  /// Why the connection has ended, if it has.
  var failure: VfioUserError? { asked.withLock { $0.failure } }

  // MARK: Asking

  /// Asks, and waits for the answer.
  ///
  /// - Parameters:
  ///   - request: What is asked.
  ///   - descriptors: What goes with it; open for as long as the call.
  ///   - deadline: When the answer has to be there; else as the server's patience says.
  /// - Returns: The answer, of a form that fits the request.
  /// - Throws: ``VfioUserError``: `refused` if the server says no; anything else has ended the connection.
  func ask(
    _ request: VfioUserRequest,
    descriptors: [Int32] = [],
    deadline: UInt64? = nil
  ) throws(VfioUserError) -> sending VfioUserAnswer {
    let deadline = deadline ?? self.deadline
    let (id, question) = try begin(request.command)
    try send(request.message(id: id), descriptors, deadline)
    var hasTurn = false
    defer { if hasTurn { passOn() } }
    while true {
      if let answer = try question.take() {
        recycle(question)
        return answer
      }
      let now = MonotonicClock.nanoseconds
      guard now < deadline else { throw end(.silent(request.command, seconds: patience)) }
      let isReader = reader.load(ordering: .acquiring) == Thread.currentID
      var list = PollList()
      _ = list.add(question.event.rawValue, for: .readable)
      if isReader { watch(&list) }
      hasTurn = hasTurn || takeTurn()
      if hasTurn { _ = list.add(socket.rawValue, for: .readable) }
      list.wait(timeout: Int32(clamping: (deadline - now) / 1_000_000 + 1))
      question.drain()
      if isReader { turn() }
      if hasTurn {
        do throws(VfioUserError) {
          try readMain(until: question)
        } catch {
          end(error)
        }
      }
    }
  }

  /// Makes the calling thread the one that reads answers, if those who ask do and none does.
  private func takeTurn() -> Bool {
    guard isShared.load(ordering: .acquiring) else { return false }
    return isReading.compareExchange(
      expected: false,
      desired: true,
      ordering: .acquiringAndReleasing
    ).exchanged
  }

  /// Leaves the reading to another who waits for an answer, if anybody does.
  private func passOn() {
    isReading.store(false, ordering: .sequentiallyConsistent)
    // Whoever begins from here on finds nobody reading.
    asked.withLock { $0.questions.values.first }?.wake()
  }

  /// Says something that is not answered; waits until the socket has taken it.
  func post(_ request: VfioUserRequest) throws(VfioUserError) {
    if let failure { throw failure }
    try send(request.message(id: 0, wantsReply: false), [], deadline)
  }

  /// Says something that is not answered, as far as the socket takes it now; the reader sends the rest.
  func queue(_ request: VfioUserRequest) throws(VfioUserError) {
    do throws(VfioUserError) {
      try sender.withLock { (sender) throws(VfioUserError) in
        try sender.send(request.message(id: 0, wantsReply: false), to: socket.rawValue)
      }
    } catch {
      throw end(error)
    }
  }

  private func begin(
    _ command: VfioUserCommand
  ) throws(VfioUserError) -> (UInt16, VfioUserQuestion) {
    let event: EventFD
    if let idle = asked.withLock({ $0.idle.popLast() }) {
      event = idle
    } else {
      do throws(SystemError) {
        event = try EventFD()
      } catch {
        throw end(.host(error))
      }
    }
    let question = VfioUserQuestion(command, event)
    return try asked.withLock { (asked) throws(VfioUserError) in
      if let failure = asked.failure { throw failure }
      // There are far fewer threads than numbers.
      while asked.questions[asked.nextID] != nil { asked.nextID &+= 1 }
      let id = asked.nextID
      asked.nextID &+= 1
      asked.questions[id] = question
      return (id, question)
    }
  }

  private func recycle(_ question: VfioUserQuestion) {
    question.drain()
    asked.withLock { $0.idle.append(question.event) }
  }

  private func send(
    _ bytes: [UInt8],
    _ descriptors: [Int32],
    _ deadline: UInt64
  ) throws(VfioUserError) {
    var isWaiting: Bool
    do throws(VfioUserError) {
      isWaiting = try sender.withLock { (sender) throws(VfioUserError) in
        try sender.send(bytes, descriptors: descriptors, to: socket.rawValue)
        return sender.isSending
      }
      while isWaiting {
        if let failure { throw failure }
        let now = MonotonicClock.nanoseconds
        guard now < deadline else { throw .notReading(seconds: patience) }
        var list = PollList()
        _ = list.add(socket.rawValue, for: .writable)
        list.wait(timeout: Int32(clamping: (deadline - now) / 1_000_000 + 1))
        isWaiting = try flush()
      }
    } catch {
      throw end(error)
    }
  }

  /// Sends what waits; whether more does.
  private func flush() throws(VfioUserError) -> Bool {
    try sender.withLock { (sender) throws(VfioUserError) in
      try sender.flush(to: socket.rawValue)
      return sender.isSending
    }
  }

  /// Ends the connection: nothing is asked any more, and who waits is told.
  ///
  /// - Returns: Why it has ended, which may be an earlier reason.
  @discardableResult
  func end(_ error: VfioUserError) -> VfioUserError {
    let (questions, failure) = asked.withLock { asked in
      let failure = asked.failure ?? error
      asked.failure = failure
      let questions = Array(asked.questions.values)
      asked.questions = [:]
      return (questions, failure)
    }
    for question in questions { question.fail(failure) }
    // Whoever waits for the socket wakes up, and the server sees the end at once.
    _ = shutdown(socket.rawValue, Int32(SHUT_RDWR))
    return failure
  }

  // MARK: Reading

  /// Adds what the reader has to wait for to `list`.
  func watch(_ list: inout PollList) {
    let (isSending, isFull) = sender.withLock { sender in
      (sender.isSending, sender.pendingCount > Self.backlogLimit)
    }
    // Of an end one hears in any case.
    let isRead = !isFull && !isShared.load(ordering: .acquiring)
    _ = list.add(socket.rawValue, for: isRead ? .readable : [])
    if isSending { _ = list.add(socket.rawValue, for: .writable) }
    input.withLock { input in
      guard let (number, isSending) = input.twin.borrow({ ($0.rawValue, $0.isSending) }) else {
        return
      }
      _ = list.add(number, for: isSending ? .writable : .readable)
    }
  }

  /// When something has to have happened that has begun, on the monotonic clock.
  var nextDeadline: UInt64? {
    let sending = sender.withLock { $0.waitsSince }
    let receiving = input.withLock { input in
      let twin = input.twin.borrow { $0.waitsSince } ?? nil
      return [input.receiver.waitsSince, twin].compactMap { $0 }.min()
    }
    return [sending, receiving].compactMap { $0 }.min()
      .map { $0 &+ UInt64(patience) * 1_000_000_000 }
  }

  /// Hands out what has come, and sends what waits, without waiting.
  ///
  /// For the reader.
  func turn() {
    do throws(VfioUserError) {
      if let deadline = nextDeadline, MonotonicClock.nanoseconds >= deadline {
        throw stall
      }
      _ = try flush()
      if !isShared.load(ordering: .acquiring) {
        try readMain()
      } else if takeTurn() {
        defer { passOn() }
        try readMain()
      }
      try readTwin()
    } catch {
      end(error)
    }
  }

  private var stall: VfioUserError {
    let count = input.withLock { $0.receiver.partialCount }
    return count > 0 ? .stalled(count, seconds: patience) : .notReading(seconds: patience)
  }

  /// Hands out what has come, up to the answer to `question`.
  private func readMain(until question: VfioUserQuestion? = nil) throws(VfioUserError) {
    for _ in 0..<Self.batch {
      if question?.isDone == true { return }
      if sender.withLock({ $0.pendingCount > Self.backlogLimit }) { return }
      let packet = try input.withLock { (input) throws(VfioUserError) in
        Self.packet(try input.receiver.receive(from: socket.rawValue))
      }
      switch consume packet {
      case .packet(let packet):
        if packet.header.isReply {
          try answer(packet)
        } else if isShared.load(ordering: .acquiring) {
          // Who asks cannot serve what is asked meanwhile: that is what the second socket is for.
          let request = try packet.request(fromServer: true, dataLimit: Self.dataLimit)
          throw .badValue(request.command, "over the first socket, not the second")
        } else if let reply = try serve(packet) {
          try sender.withLock { (sender) throws(VfioUserError) in
            try sender.send(reply, to: socket.rawValue)
          }
        }
      case .nothing: return
      case .end: throw .ended
      }
    }
  }

  private static func packet(
    _ incoming: consuming sending VfioUserReceiver.Incoming
  ) -> sending VfioUserReceiver.Incoming { incoming }

  private func readTwin() throws(VfioUserError) {
    for _ in 0..<Self.batch {
      var twin = input.withLock { $0.twin.take() }
      defer { input.withLock { swap(&$0.twin, &twin) } }
      let isDone = try readTwin(&twin)
      if isDone { return }
    }
  }

  /// Answers one request of the second socket's; whether there is none.
  private func readTwin(_ channel: inout VfioUserChannel?) throws(VfioUserError) -> Bool {
    guard var twin = channel.take() else { return true }
    try twin.flush()
    var isDone = twin.isSending
    if !isDone {
      switch try twin.receive() {
      case .packet(let packet): if let reply = try serve(packet) { try twin.send(reply) }
      case .nothing: isDone = true
      case .end: throw .ended
      }
    }
    channel = consume twin
    return isDone
  }

  private func answer(_ packet: consuming VfioUserPacket) throws(VfioUserError) {
    let header = packet.header
    guard let question = asked.withLock({ $0.questions.removeValue(forKey: header.id) }) else {
      throw .unexpectedReply(command: header.command, id: header.id)
    }
    do throws(VfioUserError) {
      let reply = try packet.reply(to: question.command, dataLimit: Self.dataLimit)
      var descriptors = DescriptorBatch()
      swap(&descriptors, &packet.descriptors)
      question.succeed(VfioUserAnswer(reply: reply, descriptors: descriptors))
    } catch {
      guard case .refused = error else {
        question.fail(end(error))
        throw error
      }
      question.fail(error)
    }
  }

  /// The reply to what the server asks, as it is to be sent, if it wants one.
  private func serve(_ packet: borrowing VfioUserPacket) throws(VfioUserError) -> [UInt8]? {
    let header = packet.header
    guard !header.isReply else {
      throw .unexpectedReply(command: header.command, id: header.id)
    }
    let request = try packet.request(fromServer: true, dataLimit: Self.dataLimit)
    let result =
      service.withLock { $0 }?.answer(request) ?? .failure(VfioUserRefusal(errorNumber: ENODEV))
    guard header.wantsReply else { return nil }
    return switch result {
    case .success(let reply): reply.message(to: header)
    case .failure(let failure):
      VfioUserHeader(failing: header, failure.errorNumber).bytes
    }
  }
}
