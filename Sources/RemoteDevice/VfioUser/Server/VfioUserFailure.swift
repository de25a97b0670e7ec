import Glibc
import GuestMemory
import HostOS

/// Why a request of a client's is not done.
enum VfioUserFailure: Error {
  /// It breaks the protocol: the client is cut off.
  case breach(VfioUserError)
  /// It asks for what it cannot have, and is told so with an `errno`; the log says why.
  case refusal(Int32, String)

  /// A value that the request cannot have.
  static func badValue(_ command: VfioUserCommand, _ reason: String) -> Self {
    .breach(.badValue(command, reason))
  }

  /// The host could not.
  static func host(_ command: VfioUserCommand, _ error: SystemError) -> Self {
    .refusal(max(error.code, 1), "\(command): \(error)")
  }

  /// What follows from memory that is not taken, or not given back.
  init(_ command: VfioUserCommand, _ error: HostedMemoryError) {
    let line = "\(command): \(error)"
    switch error {
    case .overlap: self = .refusal(EEXIST, line)
    case .tooMany: self = .refusal(ENOSPC, line)
    case .notThere: self = .refusal(ENOENT, line)
    case .partial: self = .refusal(EINVAL, line)
    // A client of good will may have such memory, of a character device for one, and does without it.
    case .badRange, .badFile(.notMemory), .badFile(.tooShort), .badFile(.unreliable):
      self = .refusal(EINVAL, line)
    case .badFile(.host(let error)): self = .host(command, error)
    }
  }
}
