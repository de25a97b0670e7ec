import Glibc
import HostOS
import Synchronization
import TestSupport

/// A server of the network block device protocol that does not keep to it; one client at a time.
final class HostileNBDServer {
  /// What it does.
  enum Manner: CaseIterable {
    /// Says nothing at all.
    case silent
    /// Greets with what means nothing.
    case babbles
    /// Offers a disk as large as there are numbers.
    case boasts
    /// Hangs up at each request.
    case hangsUp
    /// Takes requests and never answers.
    case hangs
    /// Answers each request with what means nothing.
    case answersNonsense
    /// Answers requests that nobody made.
    case answersOthers
    /// Answers with a byte now and then.
    case trickles
    /// Serves zeroes, but never answers the first write of all.
    case forgetsFirstWrite
    /// Serves zeroes, but fails the first flush of all with EIO.
    case failsFirstFlush
  }

  let address: String
  private let shared = Shared()
  private let thread: TestThread

  private final class Shared: Sendable {
    let isEnded = Atomic(false)
    let clients = Atomic<Int>(0)
    let writes = Atomic<Int>(0)
    let flushes = Atomic<Int>(0)
  }

  init(_ manner: Manner, in folder: TemporaryFolder) throws {
    let path = folder.path(of: "hostile.sock")
    address = "nbd:unix:\(path)"
    let listener = Mutex<UnixListener?>(try UnixListener(path: path, backlog: 16))
    let shared = shared
    thread = try TestThread {
      guard let listener = listener.withLock({ $0.take() }) else { return }
      while !shared.isEnded.load(ordering: .relaxed) {
        var list = PollList()
        _ = list.add(listener.rawValue, for: .readable)
        list.wait(timeout: 50)
        guard let client = listener.accept() else { continue }
        shared.clients.add(1, ordering: .relaxed)
        Conversation(
          client,
          manner,
          countingWrites: { shared.writes.add(1, ordering: .relaxed).newValue },
          flushes: { shared.flushes.add(1, ordering: .relaxed).newValue }
        ) { shared.isEnded.load(ordering: .relaxed) }.run()
      }
    }
  }

  /// How many clients have come.
  var clientCount: Int { shared.clients.load(ordering: .relaxed) }
  /// How many writes have come, from all clients.
  var writeCount: Int { shared.writes.load(ordering: .relaxed) }

  deinit {
    shared.isEnded.store(true, ordering: .relaxed)
    thread.join()
  }
}

/// What the server says to one client.
private struct Conversation: ~Copyable {
  private struct Ended: Error {}

  private let client: OwnedFileDescriptor
  private let manner: HostileNBDServer.Manner
  // Each counts one and returns how many that makes.
  private let countWrite: () -> Int
  private let countFlush: () -> Int
  private let isEnded: () -> Bool

  init(
    _ client: consuming OwnedFileDescriptor,
    _ manner: HostileNBDServer.Manner,
    countingWrites countWrite: @escaping () -> Int,
    flushes countFlush: @escaping () -> Int,
    until isEnded: @escaping () -> Bool
  ) {
    self.client = client
    self.manner = manner
    self.countWrite = countWrite
    self.countFlush = countFlush
    self.isEnded = isEnded
  }

  /// Talks until one of them hangs up.
  borrowing func run() {
    do {
      switch manner {
      case .silent: while true { _ = try receive(1) }
      case .babbles: while true { try send((0..<4096).map { UInt8(truncatingIfNeeded: $0 * 7) }) }
      default: try shakeHands()
      }
      while true { try answer() }
    } catch {}
  }

  private borrowing func shakeHands() throws {
    // NBDMAGIC, IHAVEOPT; the newstyle handshake without padding.
    try send(Self.words(0x4e42_444d_4147_4943, 8) + Self.options + Self.words(3, 2))
    _ = try receive(4)
    while true {
      let head = try receive(16)
      let option = head[8..<12].reduce(0) { $0 << 8 | UInt64($1) }
      _ = try receive(Int(head[12..<16].reduce(0) { $0 << 8 | UInt64($1) }))
      let reply = Self.words(0x0003_e889_0455_65a9, 8) + Self.words(option, 4)
      guard option == 7 else {
        // NBD_REP_ERR_UNSUP.
        try send(reply + Self.words(0x8000_0001, 4) + Self.words(0, 4))
        continue
      }
      let size: UInt64 = manner == .boasts ? .max : 1 << 20
      // NBD_REP_INFO of NBD_INFO_EXPORT with flags for flush and FUA, then NBD_REP_ACK.
      try send(
        reply + Self.words(3, 4) + Self.words(12, 4) + Self.words(0, 2) + Self.words(size, 8)
          + Self.words(0xD, 2)
      )
      try send(reply + Self.words(1, 4) + Self.words(0, 4))
      return
    }
  }

  private borrowing func answer() throws {
    let request = try receive(28)
    let cookie = Array(request[8..<16])
    let simple = Self.words(0x6744_6698, 4)
    switch manner {
    case .hangsUp: throw Ended()
    case .hangs, .silent, .babbles, .boasts: break
    case .answersNonsense: try send((0..<64).map { UInt8(truncatingIfNeeded: $0 * 5) })
    case .answersOthers: try send(simple + Self.words(0, 4) + Self.words(0x1234_5678_9ABC_DEF0, 8))
    case .trickles:
      try send(simple + Self.words(0, 4) + cookie)
      while true {
        try send([1])
        var list = PollList()
        list.wait(timeout: 20)
      }
    case .forgetsFirstWrite, .failsFirstFlush: try serve(request, answeredBy: simple, cookie)
    }
  }

  private borrowing func serve(
    _ request: [UInt8],
    answeredBy simple: [UInt8],
    _ cookie: [UInt8]
  ) throws {
    let count = Int(request[24..<28].reduce(0) { $0 << 8 | UInt64($1) })
    let done = simple + Self.words(0, 4) + cookie
    switch request[7] {
    case 0: try send(done + [UInt8](repeating: 0, count: count))
    case 1:
      _ = try receive(count)
      guard countWrite() > 1 || manner != .forgetsFirstWrite else { return }
      try send(done)
    case 3 where manner == .failsFirstFlush && countFlush() == 1:
      try send(simple + Self.words(UInt64(EIO), 4) + cookie)
    case 2: throw Ended()
    default: try send(done)
    }
  }

  private static var options: [UInt8] { words(0x4948_4156_454f_5054, 8) }

  /// A number in the protocol's order of bytes.
  private static func words(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
  }

  private borrowing func send(_ bytes: [UInt8]) throws {
    var left = bytes[...]
    while !left.isEmpty {
      if isEnded() { throw Ended() }
      let count = try FileIO.write(client.rawValue, left)
      left = left.dropFirst(count)
      if count == 0 { wait(for: .writable) }
    }
  }

  private borrowing func receive(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      if isEnded() { throw Ended() }
      guard let part = try FileIO.read(client.rawValue, atMost: count - bytes.count) else {
        wait(for: .readable)
        continue
      }
      guard !part.isEmpty else { throw Ended() }
      bytes += part
    }
    return bytes
  }

  private borrowing func wait(for interest: Poller.Interest) {
    var list = PollList()
    _ = list.add(client.rawValue, for: interest)
    list.wait(timeout: 50)
  }
}
