public import HostOS

/// What a back end did wrong, or cannot do, with the numbers.
public enum VhostUserBackEndError: Error, Equatable, Sendable {
  /// Something other than the reply to what was asked.
  case wrongReply(VhostUserRequest, to: UInt32, flags: UInt32)
  /// The reply is not as long as the request's is.
  case wrongSize(VhostUserRequest, UInt32, expected: Int)
  /// More or fewer descriptors came than the reply has.
  case wrongDescriptorCount(VhostUserRequest, Int, expected: Int)
  /// The descriptor is none of what the reply needs.
  case wrongDescriptor(VhostUserRequest, DescriptorKind, expected: String)
  /// A value is none that the reply can have.
  case badValue(VhostUserRequest, String)
  /// Bytes that answer nothing.
  case unasked
  /// A request of the back end's own that is none.
  case badRequest(VhostUserError)
  /// The back end says no.
  case refused(VhostUserRequest, UInt64)
  /// It does not have what it takes.
  case lacks(String)
  /// The reply did not come in time.
  case silent(VhostUserRequest, seconds: Int)
  /// The request was not taken in time.
  case notReading(VhostUserRequest, seconds: Int)
  /// The back end has closed the connection.
  case ended
  /// The host failed.
  case host(SystemError)

  /// Whether another back end, or the same one later, may do better.
  var isPassing: Bool {
    switch self {
    case .refused, .lacks: false
    default: true
    }
  }

  /// Whether the back end broke the protocol, rather than went away.
  var isBreach: Bool {
    switch self {
    case .ended, .host: false
    default: true
    }
  }
}

extension VhostUserBackEndError: CustomStringConvertible {
  /// One line for the log.
  public var description: String {
    switch self {
    case .wrongReply(let request, let other, let flags):
      "message \(other) with flags 0x\(String(flags, radix: 16)) in place of the reply to \(request)"
    case .wrongSize(let request, let size, let expected):
      "reply to \(request) with \(size) bytes, not \(expected)"
    case .wrongDescriptorCount(let request, let count, let expected):
      "reply to \(request) with \(count) descriptors, not \(expected)"
    case .wrongDescriptor(let request, let kind, let expected):
      "reply to \(request) with \(kind), not \(expected)"
    case .badValue(let request, let reason): "reply to \(request): \(reason)"
    case .unasked: "a message that answers nothing"
    case .badRequest(let error): "request of its own: \(error)"
    case .refused(let request, let value): "\(request) refused with \(value)"
    case .lacks(let what): "it does not offer \(what)"
    case .silent(let request, let seconds): "no reply to \(request) within \(seconds) s"
    case .notReading(let request, let seconds): "\(request) not taken within \(seconds) s"
    case .ended: "the connection ended"
    case .host(let error): "\(error)"
    }
  }
}
