import CNBD
import Glibc
import HostOS

/// One connection to an export, in use by one thread at a time.
@safe
final class NBDConnection: @unchecked Sendable {
  // Sendable: whoever has it made or got it from the disk's list, and nobody else has it then.

  /// What the server says of an export, but its size.
  struct Information: Equatable {
    /// What requests are multiples of.
    let block: UInt64
    /// The most bytes of one read or write; a multiple of the block.
    let limit: UInt64
    let isReadOnly: Bool
    let canFlush: Bool
    /// Whether a write can end only when it is on stable storage.
    let canForce: Bool
    let canTrim: Bool
    let canZero: Bool
    /// Whether several connections see the same.
    let canShare: Bool
  }

  /// The most requests under way.
  static var requestLimit: Int { 256 }
  /// For a server to answer when it is connected to.
  static var patience: Duration { .seconds(10) }
  // How often who connects looks whether that is still wanted, in milliseconds.
  private static var attention: Int32 { 100 }
  // What libnbd takes at most, should a server not say.
  private static var defaultLimit: UInt64 { 32 << 20 }

  let information: Information
  /// The size in bytes, as it was when the connection was made; a multiple of the block.
  let count: UInt64
  /// How many requests are under way.
  private(set) var pendingCount = 0
  /// See ``NBDConnections/generation``.
  var generation = 0
  private var connection: OpaquePointer?

  /// Connects to the export at `address`.
  ///
  /// - Parameters:
  ///   - address: Where it is.
  ///   - isWanted: Looked at now and then; where it is false, the connection is given up.
  /// - Throws: ``NBDError``, after ``patience`` at the latest.
  init(_ address: NBDAddress, while isWanted: () -> Bool = { true }) throws(NBDError) {
    if let reason = unsafe apus_nbd_load() {
      throw .noLibrary(address, reason: unsafe String(cString: reason))
    }
    guard let made = unsafe apus_nbd_create(UInt32(Self.requestLimit)) else {
      throw .unreachable(address, reason: "out of memory")
    }
    do throws(NBDError) {
      try unsafe Self.connect(made, address, while: isWanted)
      (information, count) = try unsafe Self.information(of: made, address)
    } catch {
      unsafe apus_nbd_destroy(made)
      throw error
    }
    unsafe connection = made
  }

  deinit { close() }

  /// Whether it is still there.
  var isAlive: Bool {
    guard let connection = unsafe connection else { return false }
    return unsafe apus_nbd_state(connection) == 1
  }

  /// Ends the connection; what is under way leaves memory alone from then on, and never ends.
  func close() {
    guard let open = unsafe connection else { return }
    // The server is told if nothing is under way: some take anything else for a fault.
    if pendingCount == 0 { unsafe apus_nbd_leave(open) }
    unsafe apus_nbd_destroy(open)
    unsafe connection = nil
    pendingCount = 0
  }

  /// What the descriptor is to be waited for.
  var interest: (descriptor: Int32, isReading: Bool, isWriting: Bool)? {
    guard let connection = unsafe connection else { return nil }
    let number = unsafe apus_nbd_descriptor(connection)
    guard number >= 0 else { return nil }
    let direction = unsafe apus_nbd_direction(connection)
    return (number, direction & 1 != 0, direction & 2 != 0)
  }

  /// How ``move()`` went.
  enum Progress {
    /// There is nothing to send or receive now.
    case idle
    /// There may be more, which its descriptor need not show.
    case more
    /// The connection is lost.
    case lost
  }

  /// Sends and receives what there is, a bounded part of it.
  func move() -> Progress {
    guard let connection = unsafe connection else { return .lost }
    switch unsafe apus_nbd_move(connection, 0) {
    case 0, 1: return unsafe apus_nbd_state(connection) < 0 ? .lost : .idle
    case 2: return .more
    default: return .lost
    }
  }

  /// Why the last call on this thread failed, in one line.
  static var failure: String { unsafe text(apus_nbd_error()) }

  /// Takes a request that has ended, with its errno or 0.
  func take() -> (number: Int, code: Int32)? {
    guard let connection = unsafe connection else { return nil }
    var number: UInt32 = 0
    var code: Int32 = 0
    guard unsafe apus_nbd_take(connection, &number, &code) != 0 else { return nil }
    pendingCount -= 1
    return (Int(number), code)
  }

  /// Begins to read into `bytes`, which stay valid until the request has ended.
  ///
  /// - Returns: 0, or an errno if it has not begun; `ENOTCONN` if the connection is lost.
  @unsafe
  func read(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64, _ number: Int) -> Int32 {
    unsafe begin {
      unsafe apus_nbd_read($0, bytes.baseAddress, bytes.count, offset, UInt32(number))
    }
  }

  /// Begins to write `bytes`, which stay valid until the request has ended.
  @unsafe
  func write(
    _ bytes: UnsafeRawBufferPointer,
    at offset: UInt64,
    isForced: Bool,
    _ number: Int
  ) -> Int32 {
    unsafe begin {
      let force: Int32 = isForced ? 1 : 0
      return unsafe apus_nbd_write(
        $0,
        bytes.baseAddress,
        bytes.count,
        offset,
        force,
        UInt32(number)
      )
    }
  }

  /// Begins to bring what was written to stable storage.
  func flush(_ number: Int) -> Int32 { unsafe begin { unsafe apus_nbd_flush($0, UInt32(number)) } }

  /// Begins to give bytes up.
  func trim(_ count: UInt64, at offset: UInt64, _ number: Int) -> Int32 {
    unsafe begin { unsafe apus_nbd_trim($0, count, offset, UInt32(number)) }
  }

  /// Begins to zero bytes, which may then be a hole or not.
  func zero(_ count: UInt64, at offset: UInt64, mayUnmap: Bool, _ number: Int) -> Int32 {
    unsafe begin { unsafe apus_nbd_zero($0, count, offset, mayUnmap ? 0 : 1, UInt32(number)) }
  }

  private func begin(_ body: (OpaquePointer) -> Int32) -> Int32 {
    guard let connection = unsafe connection else { return ENOTCONN }
    guard unsafe body(connection) == 0 else {
      // A lost connection is told of as a request that came at the wrong time.
      return unsafe apus_nbd_state(connection) < 0 ? ENOTCONN : apus_nbd_errno()
    }
    pendingCount += 1
    return 0
  }

  @unsafe
  private static func connect(
    _ connection: OpaquePointer,
    _ address: NBDAddress,
    while isWanted: () -> Bool
  ) throws(NBDError) {
    var code: Int32 = 0
    switch address.place {
    case .unix(let path, let name):
      // In a sandbox, it is somebody else who can connect.
      let socket: Int32
      do throws(SystemError) {
        socket = try UnixSocket.connect(to: path).release()
      } catch {
        throw .unreachable(address, reason: error.reason)
      }
      code = unsafe apus_nbd_connect_socket(connection, socket, name)
    case .uri(let text):
      code = unsafe apus_nbd_connect_uri(connection, text)
    }
    guard code == 0 else { throw .unreachable(address, reason: failure) }
    let end = ContinuousClock.now + patience
    while unsafe apus_nbd_state(connection) == 0 {
      guard unsafe apus_nbd_move(connection, attention) >= 0 else {
        throw .unreachable(address, reason: failure)
      }
      // However busily it answers.
      guard ContinuousClock.now < end, isWanted() else {
        throw .unreachable(address, reason: "no connection in \(patience.components.seconds) s")
      }
    }
    guard unsafe apus_nbd_state(connection) == 1 else {
      throw .unreachable(address, reason: failure)
    }
  }

  @unsafe
  private static func information(
    of connection: OpaquePointer,
    _ address: NBDAddress
  ) throws(NBDError) -> (Information, UInt64) {
    var answer = apus_nbd_information()
    guard unsafe apus_nbd_inform(connection, &answer) == 0 else {
      throw .unreachable(address, reason: failure)
    }
    let block = max(answer.minimum_block, DiskImage.sectorSize)
    let limit = answer.maximum_block == 0 ? defaultLimit : min(answer.maximum_block, defaultLimit)
    guard block.nonzeroBitCount == 1, block <= 65536, limit >= block, answer.size >= block else {
      throw .badGeometry(address, size: answer.size, block: block)
    }
    let information = Information(
      block: block,
      limit: limit / block * block,
      isReadOnly: answer.is_read_only != 0,
      canFlush: answer.can_flush != 0,
      canForce: answer.can_force != 0,
      canTrim: answer.can_trim != 0,
      canZero: answer.can_zero != 0,
      canShare: answer.can_share != 0
    )
    return (information, answer.size / block * block)
  }

  /// What the library says, without its own names and what a server could do to a terminal with it.
  @unsafe
  private static func text(_ bytes: UnsafePointer<CChar>) -> String {
    let safe = unsafe String(cString: bytes).utf8.prefix(200).map { byte in
      (32..<127).contains(byte) ? byte : UInt8(ascii: "?")
    }
    let text = String(decoding: safe, as: UTF8.self)
    guard text.hasPrefix("nbd_"), let colon = text.firstIndex(of: ":") else { return text }
    return String(text[colon...].drop { $0 == ":" || $0 == " " })
  }
}
