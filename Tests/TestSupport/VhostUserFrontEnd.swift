import Glibc
public import GuestMemory
public import HostOS

/// A vhost-user front end for tests: sends requests, good or bad, and shares memory of its own.
///
/// It knows the protocol by its numbers and nothing of the back end's code. Every wait is bounded.
public final class VhostUserFrontEnd {
  /// What went otherwise than a test wants it.
  public enum Failure: Error, Equatable {
    /// Nothing came in time.
    case timeout
    /// The back end has closed the connection.
    case closed
    /// A reply is not what the protocol says.
    case badReply(request: UInt32, flags: UInt32, size: UInt32)
    /// The back end said no.
    case refused(UInt64)
    /// A call failed.
    case system(Int32)
  }

  /// Where the front end has guest address 0.
  public static let userBase: UInt64 = 0x7F00_0000_0000

  /// The guest's memory.
  public let memory: GuestMemory
  /// Rung to have a ring looked at, by ring.
  public private(set) var kicks: [EventFD] = []
  /// Signalled by the back end, by ring.
  public private(set) var calls: [EventFD] = []
  /// Signalled for broken rings, by ring.
  public private(set) var errors: [EventFD] = []
  /// Whether ring addresses are guest addresses.
  public var usesGuestAddresses = false
  private var socket: OwnedFileDescriptor?

  /// Talks over a connected socket, for a guest with `memory`.
  public init(_ socket: consuming OwnedFileDescriptor, memory: GuestMemory, rings: Int = 4) throws {
    self.socket = consume socket
    self.memory = memory
    for _ in 0..<rings {
      kicks.append(try EventFD())
      calls.append(try EventFD())
      errors.append(try EventFD())
    }
  }

  /// The socket's number; -1 after ``close()``.
  public var number: Int32 { socket.borrow { $0.rawValue } ?? -1 }

  /// Ends the connection.
  public func close() { socket = nil }

  /// Sends a request as the protocol has it.
  ///
  /// - Parameters:
  ///   - request: Its number.
  ///   - payload: What follows the header.
  ///   - descriptors: What is sent along.
  ///   - flags: Version 1, and bit 3 to be told how it went.
  ///   - size: What the header says of the payload's length, if that is not the truth.
  /// - Throws: ``Failure``.
  public func send(
    _ request: UInt32,
    _ payload: [UInt8] = [],
    descriptors: [Int32] = [],
    flags: UInt32 = 1,
    size: UInt32? = nil
  ) throws {
    try sendBytes(
      Self.words(request, flags, size ?? UInt32(payload.count)) + payload,
      descriptors: descriptors
    )
  }

  /// Sends bytes, whatever they are.
  public func sendBytes(_ bytes: [UInt8], descriptors: [Int32] = []) throws {
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

  /// Waits for the reply to a request, and returns its payload and its descriptors.
  public func receiveReply(_ request: UInt32) throws -> (payload: [UInt8], descriptors: [Int32]) {
    var batch = DescriptorBatch()
    let header = try receive(12, &batch)
    let flags = Self.word(header, at: 4, as: UInt32.self)
    let size = Self.word(header, at: 8, as: UInt32.self)
    guard Self.word(header, at: 0, as: UInt32.self) == request, flags == 5, size <= 4096 else {
      throw Failure.badReply(request: request, flags: flags, size: size)
    }
    let payload = try receive(Int(size), &batch)
    var numbers: [Int32] = []
    while let descriptor = batch.takeFirst() { numbers.append(descriptor.release()) }
    return (payload, numbers)
  }

  /// Sends a request and returns the number that it is answered with.
  public func ask(_ request: UInt32, _ payload: [UInt8] = []) throws -> UInt64 {
    try send(request, payload)
    return Self.word(try receiveReply(request).payload, at: 0, as: UInt64.self)
  }

  /// Sends a request, and checks that it was done.
  public func tell(
    _ request: UInt32,
    _ payload: [UInt8] = [],
    descriptors: [Int32] = []
  ) throws {
    try send(request, payload, descriptors: descriptors, flags: 9)
    let result = Self.word(try receiveReply(request).payload, at: 0, as: UInt64.self)
    guard result == 0 else { throw Failure.refused(result) }
  }

  /// Waits until the back end closes the connection; what it sent before is thrown away.
  public func waitForEnd() throws {
    var batch = DescriptorBatch()
    do {
      while true { _ = try receive(1, &batch) }
    } catch Failure.closed {}
  }

  /// Words one after the other, in the machine's byte order.
  public static func words<each Word: FixedWidthInteger>(_ word: repeat each Word) -> [UInt8] {
    var bytes: [UInt8] = []
    for word in repeat each word {
      withUnsafeBytes(of: word) { bytes += Array($0) }
    }
    return bytes
  }

  /// The word at `offset`.
  public static func word<Word: FixedWidthInteger>(
    _ bytes: [UInt8],
    at offset: Int,
    as type: Word.Type
  ) -> Word {
    guard offset + Word.bitWidth / 8 <= bytes.count else { return 0 }
    return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Word.self) }
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
    guard poll(&item, 1, 10_000) > 0 else { throw Failure.timeout }
  }
}
