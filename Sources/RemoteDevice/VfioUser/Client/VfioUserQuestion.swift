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
    var isSignalled = false
  }

  let command: VfioUserCommand
  /// Signalled once there is an answer, or something else for the thread that asks to look at.
  let event: EventFD
  private let asker = Thread.currentID
  private let state = Mutex(State())

  /// Makes a question of the calling thread's.
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
    wake()
  }

  /// Says that there will be no answer.
  func fail(_ error: VfioUserError) {
    state.withLock { state in
      guard !state.isDone else { return }
      state.error = error
      state.isDone = true
    }
    wake()
  }

  /// Has the thread that asks look at its question anew.
  func wake() {
    // It finds out by itself.
    guard Thread.currentID != asker else { return }
    state.withLock { $0.isSignalled = true }
    event.signal()
  }

  /// Takes what ``event`` was signalled for; what there is to see is seen afterwards.
  func drain() {
    let wasSignalled = state.withLock { state in
      defer { state.isSignalled = false }
      return state.isSignalled
    }
    // A signal that is still to come finds the next question's thread, which looks in vain.
    if wasSignalled { event.drain() }
  }

  /// Whether there is an answer, or will be none.
  var isDone: Bool { state.withLock { $0.isDone } }

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
