import Glibc
import HostOS
import TestSupport

/// A vfio-user client for tests: sends requests, good or bad.
///
/// It knows the protocol by its numbers and nothing of the server's code. Every wait is bounded.
final class VfioUserTestClient {
  enum Failure: Error, Equatable {
    case timeout
    case closed
    /// The server said no, with an `errno`.
    case refused(UInt32)
    case badReply(command: UInt16, flags: UInt32, size: UInt32)
    case system(Int32)
  }

  struct Message: ~Copyable {
    let id: UInt16
    let command: UInt16
    let flags: UInt32
    let errorNumber: UInt32
    let payload: [UInt8]
    var descriptors: DescriptorBatch

    var isReply: Bool { flags & 0xF == 1 }
  }

  private var socket: OwnedFileDescriptor?
  private var nextID: UInt16 = 0

  init(_ socket: consuming OwnedFileDescriptor) { self.socket = consume socket }

  var number: Int32 { socket.borrow { $0.rawValue } ?? -1 }

  func close() { socket = nil }

  static func words<each Word: FixedWidthInteger>(_ word: repeat each Word) -> [UInt8] {
    VhostUserFrontEnd.words(repeat each word)
  }

  static func word<Word: FixedWidthInteger>(
    _ bytes: [UInt8],
    at offset: Int,
    as type: Word.Type
  ) -> Word {
    VhostUserFrontEnd.word(bytes, at: offset, as: type)
  }

  // MARK: Messages

  /// Sends a message, and returns its number.
  @discardableResult
  func send(
    _ command: UInt16,
    _ payload: [UInt8] = [],
    descriptors: [Int32] = [],
    flags: UInt32 = 0,
    size: UInt32? = nil,
    id: UInt16? = nil
  ) throws -> UInt16 {
    let id = id ?? nextID
    nextID &+= 1
    let header = Self.words(id, command, size ?? UInt32(16 + payload.count), flags, UInt32(0))
    try sendBytes(header + payload, descriptors: descriptors)
    return id
  }

  func sendBytes(_ bytes: [UInt8], descriptors: [Int32] = []) throws {
    var left = bytes[...]
    var numbers = descriptors
    while !left.isEmpty {
      let count: Int
      do throws(SystemError) {
        count = try SocketIO.send(number, left, descriptors: numbers)
      } catch {
        throw error.code == EPIPE || error.code == ECONNRESET ? Failure.closed : .system(error.code)
      }
      left = left.dropFirst(count)
      if count > 0 { numbers = [] } else { try wait(for: POLLOUT) }
    }
  }

  func receive() throws -> Message {
    var batch = DescriptorBatch()
    let header = try receive(16, &batch)
    let size = Self.word(header, at: 4, as: UInt32.self)
    guard (16...(1 << 20)).contains(size) else { throw Failure.timeout }
    let payload = try receive(Int(size) - 16, &batch)
    return Message(
      id: Self.word(header, at: 0, as: UInt16.self),
      command: Self.word(header, at: 2, as: UInt16.self),
      flags: Self.word(header, at: 8, as: UInt32.self),
      errorNumber: Self.word(header, at: 12, as: UInt32.self),
      payload: payload,
      descriptors: batch
    )
  }

  /// Waits for the reply to a message.
  func receiveReply(_ command: UInt16, id: UInt16) throws -> Message {
    let message = try receive()
    guard message.isReply, message.command == command, message.id == id else {
      throw Failure.badReply(
        command: message.command,
        flags: message.flags,
        size: UInt32(message.payload.count)
      )
    }
    if message.flags & 0x20 != 0 { throw Failure.refused(message.errorNumber) }
    return message
  }

  /// Sends a request, and waits for its reply.
  func exchange(
    _ command: UInt16,
    _ payload: [UInt8] = [],
    descriptors: [Int32] = []
  ) throws -> Message {
    let id = try send(command, payload, descriptors: descriptors)
    return try receiveReply(command, id: id)
  }

  /// Sends a request, and returns the payload of its reply.
  @discardableResult
  func ask(
    _ command: UInt16,
    _ payload: [UInt8] = [],
    descriptors: [Int32] = []
  ) throws -> [UInt8] {
    try exchange(command, payload, descriptors: descriptors).payload
  }

  /// Waits until the server closes the connection; what it sent before is thrown away.
  func waitForEnd() throws {
    var batch = DescriptorBatch()
    do {
      while true { _ = try receive(1, &batch) }
    } catch Failure.closed {}
  }

  private func receive(_ count: Int, _ batch: inout DescriptorBatch) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: max(count, 1))
    var done = 0
    while done < count {
      switch try SocketIO.receive(number, into: &bytes, from: done, count: count - done, &batch) {
      case .bytes(let size): done += size
      case .nothing: try wait(for: POLLIN)
      case .end, .tooManyDescriptors: throw Failure.closed
      }
    }
    return Array(bytes.prefix(count))
  }

  private func wait(for event: Int32) throws {
    var item = pollfd(fd: number, events: Int16(event), revents: 0)
    guard poll(&item, 1, 30_000) > 0 else { throw Failure.timeout }
  }
}

// MARK: What a client does

extension VfioUserTestClient {
  static let greeting =
    #"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"migration":{"pgsize":4096}}}"#

  /// Agrees on the version, and returns the server's text.
  @discardableResult
  func greet(_ text: String = greeting) throws -> String {
    let payload = try ask(1, Self.words(UInt16(0), UInt16(0)) + Array(text.utf8) + [0])
    return String(decoding: payload.dropFirst(4).dropLast(), as: UTF8.self)
  }

  static func mapping(
    _ address: UInt64,
    _ size: UInt64,
    offset: UInt64 = 0,
    flags: UInt32 = 3
  ) -> [UInt8] {
    words(UInt32(32), flags, offset, address, size)
  }

  static func unmapping(_ address: UInt64, _ size: UInt64, flags: UInt32 = 0) -> [UInt8] {
    words(UInt32(24), flags, address, size)
  }

  static func interrupts(
    _ flags: UInt32,
    _ kind: UInt32,
    start: UInt32 = 0,
    count: UInt32 = 1,
    data: [UInt8] = []
  ) -> [UInt8] {
    words(UInt32(20 + data.count), flags, kind, start, count) + data
  }

  func readRegion(_ region: UInt32, _ offset: UInt64, count: UInt32) throws -> [UInt8] {
    let access = Self.words(offset, region, count)
    let payload = try ask(9, access)
    guard payload.prefix(16).elementsEqual(access), payload.count == 16 + Int(count) else {
      throw Failure.badReply(command: 9, flags: 1, size: UInt32(payload.count))
    }
    return Array(payload.dropFirst(16))
  }

  func writeRegion(_ region: UInt32, _ offset: UInt64, _ data: [UInt8]) throws {
    let access = Self.words(offset, region, UInt32(data.count))
    guard try ask(10, access + data) == access else {
      throw Failure.badReply(command: 10, flags: 1, size: 0)
    }
  }

  /// Writes without a reply, as QEMU does to memory BARs.
  func postWrite(_ region: UInt32, _ offset: UInt64, _ data: [UInt8]) throws {
    try send(10, Self.words(offset, region, UInt32(data.count)) + data, flags: 0x10)
  }
}
