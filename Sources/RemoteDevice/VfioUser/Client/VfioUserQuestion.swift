import HostOS
import Synchronization

/// What a server answered, with the descriptors that came with it.
struct VfioUserAnswer: ~Copyable {
  let reply: VfioUserReply
  var descriptors: DescriptorBatch
}

/// A request that waits for its answer.
///
/// Made and waited for by the thread that asks, answered by the one that reads.
final class VfioUserQuestion: Sendable {
  private struct State: ~Copyable {
    var answer: VfioUserAnswer?
    var error: VfioUserError?
    var isDone = false
  }

  let command: VfioUserCommand
  /// Signalled once there is an answer.
  let event: EventFD
  private let state = Mutex(State())

  init(_ command: VfioUserCommand, _ event: EventFD) {
    self.command = command
    self.event = event
  }

  /// Answers it; the first answer counts.
  func succeed(_ answer: consuming sending VfioUserAnswer) {
    var answer = Optional(answer)
    state.withLock { state in
      guard !state.isDone else { return }
      swap(&state.answer, &answer)
      state.isDone = true
    }
    event.signal()
  }

  /// Says that there will be no answer.
  func fail(_ error: VfioUserError) {
    state.withLock { state in
      guard !state.isDone else { return }
      state.error = error
      state.isDone = true
    }
    event.signal()
  }

  /// The answer, once it is there; to be taken once.
  func take() throws(VfioUserError) -> sending VfioUserAnswer? {
    var answer = VfioUserAnswer?.none
    let error = state.withLock { state in
      swap(&state.answer, &answer)
      return state.error
    }
    if let error { throw error }
    return answer
  }
}
