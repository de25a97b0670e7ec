import Glibc
import HostOS
import RemoteDevice
import Synchronization
import TestSupport

/// A vhost-user back end for tests that answers as it is told to, and serves nothing.
///
/// It knows the protocol by its numbers and nothing of the front end's code.
final class FakeBackEnd {
  /// How it answers one request.
  enum Answer: Sendable {
    /// With these bytes after the header.
    case bytes([UInt8])
    /// With these bytes, and so many descriptors.
    case descriptors([UInt8], Int)
    /// With a header of these words and these bytes.
    case raw(UInt32, flags: UInt32, size: UInt32, [UInt8])
    /// Not at all.
    case silence
    /// By closing the connection.
    case end
    /// Well, and with a byte that nobody asked for.
    case more
  }

  /// `VERSION_1`, protocol features, event index, indirect descriptors.
  static let features: UInt64 = 1 << 32 | 1 << 30 | 1 << 29 | 1 << 28
  /// MQ, REPLY_ACK, CONFIG, INFLIGHT_SHMFD.
  static let extensions: UInt64 = 1 | 1 << 3 | 1 << 9 | 1 << 12

  private let script: Script
  private let thread: TestThread

  /// MQ, REPLY_ACK, CONFIG, and requests of its own (BACKEND_REQ).
  static let talkative: UInt64 = 1 | 1 << 3 | 1 << 9 | 1 << 5

  /// Listens at `path`; answers as told, and well where it is not.
  ///
  /// - Parameters:
  ///   - path: Where.
  ///   - answers: How it answers some requests.
  ///   - floods: Whether it says without end that its configuration has changed, once it can.
  /// - Throws: `SystemError`.
  init(at path: String, _ answers: [UInt32: Answer] = [:], floods: Bool = false) throws {
    let script = try Script(answers, floods: floods)
    let endpoint = HandedEndpoint(try PeerEndpoint(path: path))
    thread = try TestThread { script.run(endpoint) }
    self.script = script
  }

  /// Ends it.
  func close() {
    script.stop.signal()
    thread.join()
  }

  /// What was asked so far, in order.
  var requests: [UInt32] { script.asked.withLock { $0 } }
}

/// What a fake back end does on its thread.
private final class Script: Sendable {
  typealias Answer = FakeBackEnd.Answer

  let answers: [UInt32: Answer]
  let asked = Mutex<[UInt32]>([])
  let stop: EventFD
  private let floods: Bool
  // Sent where a descriptor of the wrong kind is wanted.
  private let wrongKind: EventFD

  init(_ answers: [UInt32: Answer], floods: Bool) throws {
    self.answers = answers
    self.floods = floods
    stop = try EventFD()
    wrongKind = try EventFD()
  }

  func run(_ endpoint: HandedEndpoint) {
    guard case .listener(let listener)? = endpoint.take() else { return }
    while true {
      var list = PollList()
      let place = list.add(stop.rawValue, for: .readable)
      _ = list.add(listener.rawValue, for: .readable)
      list.wait(timeout: 10_000)
      if list.isReady(place) { return }
      guard let socket = listener.accept() else { continue }
      var own: OwnedFileDescriptor?
      while serve(socket.rawValue, &own) {}
    }
  }

  /// Answers one request; false at the end of the connection.
  private func serve(_ socket: Int32, _ own: inout OwnedFileDescriptor?) -> Bool {
    var batch = DescriptorBatch()
    guard let header = receive(socket, 12, &batch, whileIdle: { self.flood(own) }) else {
      return false
    }
    let request = VhostUserFrontEnd.word(header, at: 0, as: UInt32.self)
    let flags = VhostUserFrontEnd.word(header, at: 4, as: UInt32.self)
    let size = VhostUserFrontEnd.word(header, at: 8, as: UInt32.self)
    guard let payload = receive(socket, Int(size), &batch) else { return false }
    if request == 21, floods { own = batch.takeFirst() }
    asked.withLock { $0.append(request) }
    let answer = answers[request] ?? wellAnswer(request, payload, needsReply: flags & 8 != 0)
    switch answer {
    case nil, .silence: return true
    case .end: return false
    case .more:
      guard case .bytes(let bytes)? = wellAnswer(request, payload, needsReply: true) else {
        return false
      }
      return send(socket, header: (request, 5, UInt32(bytes.count)), bytes)
        && send(socket, bytes: [0])
    case .bytes(let bytes):
      return send(socket, header: (request, 5, UInt32(bytes.count)), bytes)
    case .raw(let number, let flags, let size, let bytes):
      return send(socket, header: (number, flags, size), bytes)
    case .descriptors(let bytes, let count):
      return send(
        socket,
        header: (request, 5, UInt32(bytes.count)),
        bytes,
        Array(repeating: wrongKind.rawValue, count: count)
      )
    }
  }

  /// Says that the configuration has changed, as often as there is room for it (CONFIG_CHANGE_MSG).
  private func flood(_ own: borrowing OwnedFileDescriptor?) -> Bool {
    own.borrow { own in
      while (try? SocketIO.send(
        own.rawValue,
        VhostUserFrontEnd.words(UInt32(2), UInt32(1), UInt32(0))[...]
      )) == 12 {}
      return true
    } ?? false
  }

  private func wellAnswer(_ request: UInt32, _ payload: [UInt8], needsReply: Bool) -> Answer? {
    switch request {
    case 1: return .bytes(VhostUserFrontEnd.words(FakeBackEnd.features))
    case 15: return .bytes(VhostUserFrontEnd.words(FakeBackEnd.extensions))
    case 17: return .bytes(VhostUserFrontEnd.words(UInt64(1)))
    case 11, 24: return .bytes(payload)
    default: return needsReply ? .bytes(VhostUserFrontEnd.words(UInt64(0))) : nil
    }
  }

  private func send(
    _ socket: Int32,
    header: (UInt32, UInt32, UInt32),
    _ bytes: [UInt8],
    _ descriptors: [Int32] = []
  ) -> Bool {
    send(
      socket,
      bytes: VhostUserFrontEnd.words(header.0, header.1, header.2) + bytes,
      descriptors
    )
  }

  private func send(_ socket: Int32, bytes: [UInt8], _ descriptors: [Int32] = []) -> Bool {
    (try? SocketIO.send(socket, bytes[...], descriptors: descriptors)) == bytes.count
  }

  /// So many bytes; `nil` at the end of the connection, or of this back end.
  private func receive(
    _ socket: Int32,
    _ count: Int,
    _ batch: inout DescriptorBatch,
    whileIdle isBusy: () -> Bool = { false }
  ) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: max(count, 1))
    var done = 0
    while done < count {
      var list = PollList()
      let place = list.add(stop.rawValue, for: .readable)
      _ = list.add(socket, for: .readable)
      list.wait(timeout: isBusy() ? 1 : 10_000)
      if list.isReady(place) { return nil }
      guard
        let received = try? SocketIO.receive(
          socket,
          into: &bytes,
          from: done,
          count: count - done,
          &batch
        )
      else { return nil }
      switch received {
      case .bytes(let size): done += size
      case .nothing: continue
      case .end, .tooManyDescriptors: return nil
      }
    }
    return Array(bytes.prefix(count))
  }
}
