import HostOS
import Synchronization

/// Carries requests to save the guest from the control socket's thread to the machine's main thread, which alone can.
///
/// One at a time: who asks waits for the answer.
final class SaveRequests: Sendable {
  /// What is asked for, and what came of it.
  private struct Request {
    var path: String
    var isTaken = false
    var isAnswered = false
    /// Why it was not saved.
    var failure: String?
  }

  private struct State {
    var request: Request?
    /// Why nobody answers any more.
    var end: String?
  }

  /// Readable when there is a request to take.
  let event: EventFD
  /// Signalled when there is an answer.
  private let answered: EventFD
  private let state = Mutex(State())

  init() throws(SystemError) {
    event = try EventFD()
    answered = try EventFD()
  }

  /// Asks for the guest to be saved in the file at `path`, and waits.
  ///
  /// - Returns: Why it was not, in one line; `nil` if it was.
  func save(_ path: String) -> String? {
    let refusal = state.withLock { state -> String? in
      if let end = state.end { return end }
      guard state.request == nil else { return "it is being saved already" }
      state.request = Request(path: path)
      return nil
    }
    if let refusal { return "\(path): \(refusal)" }
    event.signal()
    while true {
      // A signal may end the wait early.
      answered.wait()
      answered.drain()
      let request = state.withLock { state -> Request? in
        guard let request = state.request, request.isAnswered else { return nil }
        state.request = nil
        return request
      }
      if let request { return request.failure }
    }
  }

  /// Takes the request that waits, if there is one; the main thread answers each.
  func take() -> String? {
    event.drain()
    return state.withLock { state in
      guard let request = state.request, !request.isTaken, !request.isAnswered else { return nil }
      state.request?.isTaken = true
      return request.path
    }
  }

  /// Answers the request that was taken: why the guest was not saved, or `nil` if it was.
  func answer(_ failure: String?) {
    state.withLock { state in
      guard state.request?.isAnswered == false else { return }
      state.request?.isAnswered = true
      state.request?.failure = failure
    }
    answered.signal()
  }

  /// Answers whoever waits, and all who will ask, that nothing is saved any more.
  func close(_ reason: String) {
    let path = state.withLock { state in
      state.end = reason
      return state.request?.path
    }
    if let path { answer("\(path): \(reason)") }
  }
}
