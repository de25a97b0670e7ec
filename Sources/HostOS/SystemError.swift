public import Glibc

/// A system call that failed, with the call's name, what it was about, and its errno.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The failing call, as it would be written in C: `"eventfd"`.
  public let call: String
  /// The value of `errno` right after the call.
  public let code: Int32
  /// What the call was about, such as a path or an address; empty if the call says it all.
  public let subject: String

  /// Names the failing `call` and captures its `code`.
  public init(call: String, code: Int32, subject: String = "") {
    self.call = call
    self.code = code
    self.subject = subject
  }

  /// The reason alone: `No such file or directory`.
  public var reason: String {
    // SAFETY: strerror always returns a NUL-terminated string.
    unsafe strerror(code).map { unsafe String(cString: $0) } ?? "unknown error"
  }

  /// One line for the log: `open /dev/kvm: Permission denied (errno 13)`.
  public var description: String {
    let name = subject.isEmpty ? call : "\(call) \(subject)"
    return "\(name): \(reason) (errno \(code))"
  }
}

/// Runs a system call that reports failure as -1, retrying when a signal interrupts it.
///
/// - Parameters:
///   - call: The call's C name, for the error message.
///   - subject: What the call is about, made into text only if the call fails.
///   - body: Makes the call once and returns its raw result.
/// - Returns: The non-negative result.
/// - Throws: ``SystemError`` for any failure other than `EINTR`.
@inlinable
public func retrying<Result: SignedInteger>(
  _ call: StaticString,
  _ subject: @autoclosure () -> String = "",
  _ body: () -> Result
) throws(SystemError) -> Result {
  while true {
    let result = body()
    if result != -1 { return result }
    let code = errno
    if code != EINTR {
      throw SystemError(call: call.description, code: code, subject: subject())
    }
  }
}
