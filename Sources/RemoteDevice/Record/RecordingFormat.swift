/// The file that messages are recorded in; numbers are little-endian.
///
/// It begins with ``magic``, a version of 32 bits, 32 bits of zero, and the nanoseconds since 1970 at which it began. Records follow, each
/// with its length in bytes, in 32 bits that do not count themselves, and a byte that says which kind it is.
enum RecordingFormat {
  static var magic: [UInt8] { Array("apusmsgs".utf8) }
  static var version: UInt32 { 1 }
  static var headerCount: Int { 24 }

  /// The longest message, in bytes: those of all protocols are shorter.
  static var messageLimit: Int { 2 << 20 }
  /// The longest name of a device.
  static var nameLimit: Int { 255 }
  /// The most descriptors that go with a message.
  static var descriptorLimit: Int { 253 }
  /// The longest record: a message with all of that.
  static var recordLimit: Int { messageLimit + 4096 }

  /// Where in a message or an end its time is.
  static var timeOffset: Int { 5 }

  enum Kind: UInt8 {
    /// A connection: its number, protocol, and the device's name.
    case connection = 1
    /// A message: the connection, the time, socket, direction, descriptors, bytes.
    case message = 2
    /// The end of a connection in the recording: its number, the time, and why.
    case end = 3
  }
}

/// A connection to a device's process, as it was recorded.
public struct RecordedConnection: Equatable, Sendable {
  /// Its number in the recording, from 1 on.
  public let number: UInt32
  /// What is spoken.
  public let `protocol`: RecordedProtocol
  /// The device's name.
  public let name: String

  var record: [UInt8] {
    var bytes: [UInt8] = [RecordingFormat.Kind.connection.rawValue]
    bytes.append(number)
    bytes.append(`protocol`.rawValue)
    let name = Array(name.utf8.prefix(RecordingFormat.nameLimit))
    bytes.append(UInt8(name.count))
    return bytes + name
  }
}

/// What went with a message.
public struct RecordedDescriptor: Equatable, Sendable {
  /// What it stands for.
  public enum Kind: UInt8, Sendable {
    /// Something of the kernel's without a file, such as an eventfd.
    case anonymous = 1
    /// A file that can be mapped.
    case file = 2
    /// A connected unix stream socket.
    case socket = 3
    /// Anything else.
    case other = 4
  }

  /// What it stands for.
  public let kind: Kind
  /// How many bytes a file has; 0 for others.
  public let size: UInt64
}

/// A message, as it was recorded.
public struct RecordedMessage: Equatable, Sendable {
  /// The number of its connection.
  public let connection: UInt32
  /// When, in nanoseconds from the beginning of the recording.
  public let time: UInt64
  /// Whether it went over the second socket, which is for what the device asks.
  public let isSecond: Bool
  /// Whether the device sent it, and did not get it.
  public let isFromDevice: Bool
  /// What went with it.
  public let descriptors: [RecordedDescriptor]
  /// All of it, header included.
  public let bytes: [UInt8]

  var record: [UInt8] {
    var record: [UInt8] = [RecordingFormat.Kind.message.rawValue]
    record.reserveCapacity(16 + 9 * descriptors.count + bytes.count)
    record.append(connection)
    record.append(time)
    record.append(UInt8(isSecond ? 1 : 0) | UInt8(isFromDevice ? 2 : 0))
    record.append(UInt8(descriptors.count))
    for descriptor in descriptors {
      record.append(descriptor.kind.rawValue)
      record.append(descriptor.size)
    }
    return record + bytes
  }
}

/// The end of a connection in a recording.
public struct RecordedEnd: Equatable, Sendable {
  /// Why there is no more of it.
  public enum Reason: UInt8, Sendable {
    /// The connection was closed.
    case closed = 1
    /// Messages came faster than the file took them.
    case tooFast = 2
  }

  /// The number of the connection.
  public let connection: UInt32
  /// When, in nanoseconds from the beginning of the recording.
  public let time: UInt64
  /// Why.
  public let reason: Reason

  var record: [UInt8] {
    var bytes: [UInt8] = [RecordingFormat.Kind.end.rawValue]
    bytes.append(connection)
    bytes.append(time)
    bytes.append(reason.rawValue)
    return bytes
  }
}

extension [UInt8] {
  /// Appends a number, in little-endian order.
  mutating func append(_ word: some FixedWidthInteger & UnsignedInteger) {
    for shift in stride(from: 0, to: word.bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: word >> shift))
    }
  }
}
