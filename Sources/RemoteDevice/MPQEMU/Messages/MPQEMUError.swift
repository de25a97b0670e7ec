public import HostOS

/// What a peer said wrong, or asked for that it cannot have, with the numbers.
public enum MPQEMUError: Error, Equatable, Sendable {
  /// The protocol has no such command.
  case unknownCommand(Int32, size: UInt64, descriptors: Int)
  /// A payload longer than any that the protocol has.
  case tooLarge(Int32, size: UInt64)
  /// The payload is not as long as the command's is.
  case wrongSize(MPQEMUCommand, Int, expected: [Int])
  /// More or fewer descriptors came than the command has.
  case wrongDescriptorCount(MPQEMUCommand, Int, expected: ClosedRange<Int>)
  /// More descriptors came than any message has.
  case tooManyDescriptors(limit: Int)
  /// A v8 message about configuration registers that is not marked as one.
  case notByteStream(MPQEMUCommand)
  /// An access to configuration registers of a width that there is not.
  case badWidth(MPQEMUCommand, Int64)
  /// A message that only the other side sends.
  case unexpected(MPQEMUCommand)
  /// A descriptor is none of what the command needs.
  case wrongDescriptor(MPQEMUCommand, DescriptorKind, expected: String)
  /// The guest's memory cannot be as the message says.
  case badMemory(String)
  /// The connection ended inside of a message.
  case cutShort(Int)
  /// The rest of a message did not come.
  case stalled(Int, seconds: Int)
  /// The peer does not take what is sent to it.
  case notReading(seconds: Int)
  /// A request was not answered.
  case unanswered(MPQEMUCommand, milliseconds: Int)
  /// The peer has closed the connection.
  case closed
  /// The process that serves the device has ended.
  case ended(ChildProcess.Ending)
  /// A memory file has become shorter than it was.
  case memoryGone
  /// The host failed.
  case host(SystemError)
}

extension MPQEMUError: CustomStringConvertible {
  /// One line for the log.
  public var description: String {
    switch self {
    case .unknownCommand(let number, let size, let descriptors):
      "unknown command \(number) with \(size) bytes and \(descriptors) descriptors"
    case .tooLarge(let number, let size):
      "command \(number) has \(size) bytes of payload, more than any"
    case .wrongSize(let command, let size, let expected):
      "\(command) with \(size) bytes of payload, not \(Self.list(expected))"
    case .wrongDescriptorCount(let command, let count, let expected):
      expected.lowerBound == expected.upperBound
        ? "\(command) with \(count) descriptors, not \(expected.lowerBound)"
        : "\(command) with \(count) descriptors, not \(expected.lowerBound) to \(expected.upperBound)"
    case .tooManyDescriptors(let limit): "a message with more than \(limit) descriptors"
    case .notByteStream(let command): "\(command) that is not marked as a stream of bytes"
    case .badWidth(let command, let width): "\(command) of \(width) bytes; 1 to 4 are served"
    case .unexpected(let command): "\(command), which only the other side sends"
    case .wrongDescriptor(let command, let kind, let expected):
      "\(command) with \(kind), not \(expected)"
    case .badMemory(let reason): "\(MPQEMUCommand.syncMemory): \(reason)"
    case .cutShort(let count): "the connection ended after \(count) bytes of a message"
    case .stalled(let count, let seconds):
      "\(count) bytes of a message, and nothing more for \(seconds) s"
    case .notReading(let seconds): "nothing is read for \(seconds) s"
    case .unanswered(let command, let milliseconds):
      "\(command) was not answered within \(milliseconds) ms"
    case .closed: "the connection was closed"
    case .ended(.exited(let code)): "its process has ended with code \(code)"
    case .ended(.signalled(let number)): "its process was killed by signal \(number)"
    case .memoryGone: "a memory file was cut short while it was in use"
    case .host(let error): "\(error)"
    }
  }

  private static func list(_ numbers: [Int]) -> String {
    numbers.map(String.init).joined(separator: " or ")
  }
}
