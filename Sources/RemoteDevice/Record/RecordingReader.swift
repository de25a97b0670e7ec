public import HostOS

/// Reads a recording, record by record, and trusts nothing in it.
///
/// Owned by one thread.
public struct RecordingReader: ~Copyable {
  /// A record.
  public enum Record: Equatable, Sendable {
    /// A connection begins.
    case connection(RecordedConnection)
    /// A message.
    case message(RecordedMessage)
    /// A connection ends.
    case end(RecordedEnd)
  }

  private static var chunk: Int { 1 << 16 }

  private let file: OwnedFileDescriptor
  private var buffer: ArraySlice<UInt8> = []
  private var offset: UInt64 = 0
  private var hasEnded = false
  private var connections: [UInt32: RecordedProtocol] = [:]
  /// Whether the last record is not all there, as when the recorder was killed.
  public private(set) var isCutShort = false
  /// When it began, in nanoseconds since 1970.
  public private(set) var start: UInt64 = 0

  /// Begins to read an open file.
  ///
  /// - Throws: ``RecordingError`` if it is no recording, `SystemError` if it cannot be read.
  public init(_ file: consuming OwnedFileDescriptor) throws {
    self.file = file
    guard try fill(RecordingFormat.headerCount),
      Array(buffer.prefix(8)) == RecordingFormat.magic
    else { throw RecordingError.notARecording }
    var fields = Fields(take(RecordingFormat.headerCount).dropFirst(8))
    let version: UInt32 = try fields.next(0)
    guard version == RecordingFormat.version else { throw RecordingError.version(version) }
    _ = try fields.next(0) as UInt32
    start = try fields.next(0)
  }

  /// The next record; `nil` at the end.
  ///
  /// - Throws: ``RecordingError`` for what no record is, `SystemError` if the file cannot be read.
  public mutating func next() throws -> Record? {
    guard !hasEnded else { return nil }
    let place = offset
    guard try fill(4) else {
      isCutShort = !buffer.isEmpty
      return nil
    }
    var prefix = Fields(take(4))
    let size: UInt32 = try prefix.next(place)
    guard size > 0, size <= UInt32(RecordingFormat.recordLimit) else {
      throw RecordingError.badSize(size, at: place)
    }
    guard try fill(Int(size)) else {
      isCutShort = true
      return nil
    }
    return try parse(take(Int(size)), place)
  }

  private mutating func parse(_ bytes: ArraySlice<UInt8>, _ place: UInt64) throws -> Record {
    var fields = Fields(bytes)
    let kind: UInt8 = try fields.next(place)
    switch RecordingFormat.Kind(rawValue: kind) {
    case .connection: return .connection(try connection(&fields, place))
    case .message: return .message(try message(&fields, place))
    case .end:
      let number: UInt32 = try fields.next(place)
      let time: UInt64 = try fields.next(place)
      let reason: UInt8 = try fields.next(place)
      guard let reason = RecordedEnd.Reason(rawValue: reason), fields.rest.isEmpty else {
        throw RecordingError.badRecord(at: place, "an end of kind \(reason)")
      }
      guard connections.removeValue(forKey: number) != nil else {
        throw RecordingError.badRecord(at: place, "the end of connection \(number), which is none")
      }
      return .end(RecordedEnd(connection: number, time: time, reason: reason))
    case nil: throw RecordingError.badRecord(at: place, "kind \(kind)")
    }
  }

  private mutating func connection(
    _ fields: inout Fields,
    _ place: UInt64
  ) throws -> RecordedConnection {
    let number: UInt32 = try fields.next(place)
    let code: UInt8 = try fields.next(place)
    let count: UInt8 = try fields.next(place)
    guard let spoken = RecordedProtocol(rawValue: code) else {
      throw RecordingError.badRecord(at: place, "protocol \(code)")
    }
    guard fields.rest.count == Int(count) else {
      throw RecordingError.badRecord(at: place, "a name of \(count) bytes in \(fields.rest.count)")
    }
    // Whoever records has far fewer at a time.
    guard connections[number] == nil, connections.count < 4096 else {
      throw RecordingError.badRecord(at: place, "connection \(number), which there is")
    }
    connections[number] = spoken
    // What is printed of it is text.
    let name = String(decoding: fields.rest, as: UTF8.self).filter { !$0.isNewline }
    return RecordedConnection(number: number, protocol: spoken, name: name)
  }

  private func message(_ fields: inout Fields, _ place: UInt64) throws -> RecordedMessage {
    let number: UInt32 = try fields.next(place)
    let time: UInt64 = try fields.next(place)
    let flags: UInt8 = try fields.next(place)
    let count: UInt8 = try fields.next(place)
    guard let spoken = connections[number] else {
      throw RecordingError.badRecord(at: place, "a message of connection \(number), which is none")
    }
    guard flags < 4 else { throw RecordingError.badRecord(at: place, "flags \(flags)") }
    var descriptors: [RecordedDescriptor] = []
    for _ in 0..<count {
      let kind: UInt8 = try fields.next(place)
      let size: UInt64 = try fields.next(place)
      guard let kind = RecordedDescriptor.Kind(rawValue: kind) else {
        throw RecordingError.badRecord(at: place, "a descriptor of kind \(kind)")
      }
      descriptors.append(RecordedDescriptor(kind: kind, size: size))
    }
    let bytes = Array(fields.rest)
    guard spoken.messageCount(bytes) == bytes.count else {
      throw RecordingError.badRecord(at: place, "\(bytes.count) bytes that are no message")
    }
    return RecordedMessage(
      connection: number,
      time: time,
      isSecond: flags & 1 != 0,
      isFromDevice: flags & 2 != 0,
      descriptors: descriptors,
      bytes: bytes
    )
  }

  /// Reads until there are `count` bytes; whether there are.
  private mutating func fill(_ count: Int) throws(SystemError) -> Bool {
    while buffer.count < count, !hasEnded {
      if let bytes = try FileIO.read(file.rawValue, atMost: Self.chunk), !bytes.isEmpty {
        buffer = ArraySlice(Array(buffer) + bytes)
      } else {
        hasEnded = true
      }
    }
    return buffer.count >= count
  }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
    let taken = buffer.prefix(count)
    buffer = buffer.dropFirst(count)
    offset += UInt64(count)
    return taken
  }
}

/// Numbers in a record, one after the other.
private struct Fields {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  mutating func next<Word: FixedWidthInteger & UnsignedInteger>(
    _ place: UInt64
  ) throws(RecordingError) -> Word {
    let count = Word.bitWidth / 8
    guard rest.count >= count else { throw .badRecord(at: place, "an end before its fields") }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count).reversed().reduce(0) { $0 << 8 | Word($1) }
  }
}
