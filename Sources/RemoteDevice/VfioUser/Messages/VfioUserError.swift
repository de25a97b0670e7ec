import Glibc
public import HostOS

/// What the other end of a vfio-user connection did wrong, with the numbers.
public enum VfioUserError: Error, Equatable, Sendable {
  /// Flags that no message has.
  case badFlags(command: UInt16, flags: UInt32)
  /// A message shorter than its header, or longer than it may be.
  case badMessageSize(command: UInt16, size: UInt32, limit: Int)
  /// The protocol has no such command, or not from that end.
  case unknownCommand(UInt16, size: UInt32, descriptors: Int)
  /// A payload is not as long as the command's is; `expected` is the least.
  case wrongSize(VfioUserCommand, Int, expected: Int)
  /// More or fewer descriptors came than the message has.
  case wrongDescriptorCount(VfioUserCommand, Int, expected: ClosedRange<Int>)
  /// More descriptors came than any message has.
  case tooManyDescriptors(limit: Int)
  /// A descriptor is none of what the message needs.
  case wrongDescriptor(VfioUserCommand, DescriptorKind, expected: String)
  /// A value is none that the message can have.
  case badValue(VfioUserCommand, String)
  /// A reply to nothing that was asked.
  case unexpectedReply(command: UInt16, id: UInt16)
  /// The other end says no, with an `errno`.
  case refused(VfioUserCommand, errorNumber: UInt32)
  /// It does not have what it takes.
  case lacks(String)
  /// The reply did not come in time.
  case silent(VfioUserCommand, seconds: Int)
  /// What is sent is not taken in time.
  case notReading(seconds: Int)
  /// The rest of a message did not come.
  case stalled(Int, seconds: Int)
  /// More came than anybody has a use for.
  case flood(String)
  /// The connection ended inside of a message.
  case cutShort(Int)
  /// The connection ended.
  case ended
  /// The host failed.
  case host(SystemError)

  /// What a server answers to a request with this error, unless it cuts the client off.
  public var errorNumber: Int32 {
    switch self {
    case .unknownCommand: ENOTSUP
    case .refused(_, let number): Int32(clamping: number)
    case .host(let error): error.code
    default: EINVAL
    }
  }

  /// Whether the other end broke the protocol, rather than went away.
  public var isBreach: Bool {
    switch self {
    case .ended, .host, .refused, .lacks: false
    default: true
    }
  }
}

extension VfioUserError: CustomStringConvertible {
  /// One line for the log.
  public var description: String {
    switch self {
    case .badFlags(let command, let flags):
      "message \(command) with flags 0x\(String(flags, radix: 16))"
    case .badMessageSize(let command, let size, let limit):
      "message \(command) of \(size) bytes, not 16 to \(limit)"
    case .unknownCommand(let command, let size, let descriptors):
      "unknown command \(command) of \(size) bytes and \(descriptors) descriptors"
    case .wrongSize(let command, let size, let expected):
      "\(command) with \(size) bytes of payload, not \(expected)"
    case .wrongDescriptorCount(let command, let count, let expected):
      "\(command) with \(count) descriptors, not "
        + (expected.count == 1
          ? "\(expected.lowerBound)" : "\(expected.lowerBound) to \(expected.upperBound)")
    case .tooManyDescriptors(let limit): "a message with more than \(limit) descriptors"
    case .wrongDescriptor(let command, let kind, let expected):
      "\(command) with \(kind), not \(expected)"
    case .badValue(let command, let reason): "\(command): \(reason)"
    case .unexpectedReply(let command, let id):
      "reply \(id) to message \(command), which was not asked"
    case .refused(let command, let number):
      "\(command) refused: \(SystemError(call: "", code: Int32(clamping: number)).reason) "
        + "(errno \(number))"
    case .lacks(let what): "it does not offer \(what)"
    case .silent(let command, let seconds): "no reply to \(command) within \(seconds) s"
    case .notReading(let seconds): "messages are not read for \(seconds) s"
    case .stalled(let count, let seconds):
      "\(count) bytes of a message, and nothing more for \(seconds) s"
    case .flood(let what): "too many \(what)"
    case .cutShort(let count): "the connection ended after \(count) bytes of a message"
    case .ended: "the connection ended"
    case .host(let error): "\(error)"
    }
  }
}
