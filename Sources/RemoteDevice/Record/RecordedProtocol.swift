/// What is spoken over a recorded connection, as far as a recording has to know: how it is cut into messages.
public enum RecordedProtocol: UInt8, Sendable, CaseIterable {
  /// vfio-user.
  case vfioUser = 1
  /// The multi-process protocol.
  case mpqemu = 2
  /// vhost-user.
  case vhostUser = 3

  /// By which option a program is told to serve a device by it.
  public var option: String {
    switch self {
    case .vfioUser: "--vfio-user"
    case .mpqemu: "--mpqemu"
    case .vhostUser: "--vhost-user"
    }
  }

  /// How many bytes each message begins with.
  var headerCount: Int { self == .vhostUser ? 12 : 16 }

  /// How long a message is that begins with `header`, in bytes; `nil` if none can begin so.
  func messageCount(_ header: [UInt8]) -> Int? {
    guard header.count >= headerCount else { return nil }
    let bytes = NativeBytes(Array(header.prefix(headerCount)))
    let count: UInt64
    switch self {
    case .vfioUser: count = UInt64(bytes.word(at: 4) as UInt32)
    case .mpqemu:
      let (sum, wraps) = (bytes.word(at: 8) as UInt64).addingReportingOverflow(16)
      count = wraps ? .max : sum
    case .vhostUser: count = 12 + UInt64(bytes.word(at: 8) as UInt32)
    }
    guard count >= UInt64(headerCount), count <= UInt64(RecordingFormat.messageLimit) else {
      return nil
    }
    return Int(count)
  }

  /// Whether a message that came from the device answers one, and is not one of its own.
  func isReply(_ message: [UInt8]) -> Bool {
    guard message.count >= headerCount else { return false }
    let bytes = NativeBytes(Array(message.prefix(headerCount)))
    return switch self {
    case .vfioUser: (bytes.word(at: 8) as UInt32) & 0xF == 1
    case .mpqemu: true
    case .vhostUser: (bytes.word(at: 4) as UInt32) & 4 != 0
    }
  }

  /// What messages call this one: `REGION_READ`, or a number.
  func name(_ message: [UInt8]) -> String {
    guard message.count >= headerCount else { return "\(message.count) bytes" }
    let bytes = NativeBytes(Array(message.prefix(headerCount)))
    switch self {
    case .vfioUser:
      let number: UInt16 = bytes.word(at: 2)
      return VfioUserCommand(rawValue: number).map { "\($0)" } ?? "command \(number)"
    case .mpqemu:
      let number = Int32(bitPattern: bytes.word(at: 0))
      return MPQEMUCommand(number, in: .current).map { "\($0)" } ?? "command \(number)"
    case .vhostUser:
      let number: UInt32 = bytes.word(at: 0)
      return VhostUserRequest(rawValue: number).map { "\($0)" } ?? "request \(number)"
    }
  }

  /// What is at a byte of a message: a field of the header, or a byte of what follows.
  func field(at offset: Int) -> String {
    let fields: [(name: String, end: Int)] =
      switch self {
      case .vfioUser:
        [("number", 2), ("command", 4), ("size", 8), ("flags", 12), ("error", 16)]
      case .mpqemu: [("command", 4), ("padding", 8), ("size", 16)]
      case .vhostUser: [("request", 4), ("flags", 8), ("size", 12)]
      }
    return fields.first { offset < $0.end }?.name ?? "payload byte \(offset - headerCount)"
  }
}
