/// Who answers what a server asks.
///
/// An object, since a closure in a lock is wrapped anew at each look at it, until calling it takes all of the stack.
final class VfioUserService: Sendable {
  /// Answers on the reader's thread: a reply, or an `errno`; nothing if nobody is there.
  typealias Answer = @Sendable (VfioUserRequest) -> Result<VfioUserReply, VfioUserRefusal>?

  let answer: Answer

  init(_ answer: @escaping Answer) { self.answer = answer }
}
