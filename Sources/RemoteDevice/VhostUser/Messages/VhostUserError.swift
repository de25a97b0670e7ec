public import HostOS
public import Virtio

/// What a front end did wrong, or asked for that it cannot have, with the numbers.
public enum VhostUserError: Error, Equatable, Sendable {
  /// The flags do not say version 1.
  case badVersion(request: UInt32, flags: UInt32)
  /// A reply to nothing that was asked.
  case unexpectedReply(request: UInt32)
  /// A payload longer than any that the protocol has.
  case tooLarge(request: UInt32, size: UInt32)
  /// The protocol has no such request.
  case unknownRequest(UInt32, size: UInt32, descriptors: Int)
  /// The request needs a feature that is not offered, or was not agreed on.
  case notOffered(VhostUserRequest)
  /// The payload is not as long as the request's is.
  case wrongSize(VhostUserRequest, Int, expected: Int)
  /// More or fewer descriptors came than the request has.
  case wrongDescriptorCount(VhostUserRequest, Int, expected: Int)
  /// More descriptors came than any request has.
  case tooManyDescriptors(limit: Int)
  /// A descriptor is none of what the request needs.
  case wrongDescriptor(VhostUserRequest, DescriptorKind, expected: String)
  /// The device has no such ring.
  case noSuchRing(VhostUserRequest, Int, count: Int)
  /// A value is none that the request can have.
  case badValue(VhostUserRequest, String)
  /// The front end asks for what this device or host does not do.
  case refused(VhostUserRequest, String)
  /// A write to the configuration, or the like, that has no effect.
  case ignored(VhostUserRequest, String)
  /// A ring cannot be served as it is.
  case badRing(Int, VirtqueueError)
  /// The address of a ring's part is in no region.
  case unknownAddress(Int, VirtqueuePart, UInt64)
  /// The connection ended inside of a message.
  case cutShort(Int)
  /// The rest of a message did not come.
  case stalled(Int, seconds: Int)
  /// The front end does not take replies.
  case notReading(seconds: Int)
  /// A memory file has become shorter than it was.
  case memoryGone
  /// The host failed.
  case host(SystemError)

  /// What follows from it.
  enum Consequence {
    /// The front end is cut off.
    case end
    /// As above, unless the front end asked to be told.
    case refusal
    /// One line in the log, and an answer if there is to be one.
    case none
  }

  var consequence: Consequence {
    switch self {
    case .refused, .notOffered, .host: .refusal
    case .ignored, .badRing, .unknownAddress: .none
    default: .end
    }
  }
}

extension VhostUserError: CustomStringConvertible {
  /// One line for the log.
  public var description: String {
    switch self {
    case .badVersion(let request, let flags):
      "request \(request) has flags 0x\(String(flags, radix: 16)), not version 1"
    case .unexpectedReply(let request): "reply to request \(request), which was not asked"
    case .tooLarge(let request, let size):
      "request \(request) has \(size) bytes of payload, more than \(VhostUserHeader.payloadLimit)"
    case .unknownRequest(let request, let size, let descriptors):
      "unknown request \(request) with \(size) bytes and \(descriptors) descriptors"
    case .notOffered(let request): "\(request), which was not agreed on"
    case .wrongSize(let request, let size, let expected):
      "\(request) with \(size) bytes of payload, not \(expected)"
    case .wrongDescriptorCount(let request, let count, let expected):
      "\(request) with \(count) descriptors, not \(expected)"
    case .tooManyDescriptors(let limit): "a message with more than \(limit) descriptors"
    case .wrongDescriptor(let request, let kind, let expected):
      "\(request) with \(kind), not \(expected)"
    case .noSuchRing(let request, let index, let count):
      "\(request) for ring \(index) of \(count)"
    case .badValue(let request, let reason), .refused(let request, let reason),
      .ignored(let request, let reason):
      "\(request): \(reason)"
    case .badRing(let index, let error): "ring \(index): \(error)"
    case .unknownAddress(let index, let part, let address):
      "ring \(index): \(part.rawValue) at 0x\(String(address, radix: 16)) is in no region"
    case .cutShort(let count): "the connection ended after \(count) bytes of a message"
    case .stalled(let count, let seconds):
      "\(count) bytes of a message, and nothing more for \(seconds) s"
    case .notReading(let seconds): "replies are not read for \(seconds) s"
    case .memoryGone: "a memory file was cut short while it was in use"
    case .host(let error): "\(error)"
    }
  }
}
