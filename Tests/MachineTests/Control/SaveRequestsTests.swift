import HostOS
import TestSupport
import Testing

@testable import Machine

/// Requests to save a guest, as its main thread and those who ask see them.
@Suite(.timeLimit(.minutes(5))) struct SaveRequestsTests {
  private let requests: SaveRequests

  init() throws { requests = try SaveRequests() }

  /// Asks on a thread of its own; `check` is what the main thread does meanwhile.
  private func ask(_ path: String, _ check: () throws -> Void) throws -> String? {
    let answer = RecordedAnswer()
    let thread = try TestThread { [requests] in answer.set(requests.save(path)) }
    try check()
    thread.join()
    return answer.value
  }

  private final class RecordedAnswer: @unchecked Sendable {
    // Sendable: set before the thread is joined, read after that.
    private(set) var value: String?
    func set(_ new: String?) { value = new }
  }

  @Test func whoAsksWaitsForTheMainThread() throws {
    for failure in [nil, "the disk is full", nil] {
      let answer = try ask("/a") {
        #expect(isReadable(requests.event.rawValue, within: 30_000))
        #expect(requests.take() == "/a")
        #expect(requests.take() == nil)
        #expect(!isReadable(requests.event.rawValue))
        requests.answer(failure)
      }
      #expect(answer == failure)
    }
  }

  @Test(arguments: [false, true])
  func whoeverAsksAMachineThatEndsIsToldSo(isTaken: Bool) throws {
    let answer = try ask("/a") {
      #expect(isReadable(requests.event.rawValue, within: 30_000))
      if isTaken { #expect(requests.take() == "/a") }
      requests.close("it has ended")
      requests.answer(nil)
    }
    #expect(answer == "/a: it has ended")
    #expect(requests.take() == nil)
    #expect(requests.save("/b") == "/b: it has ended")
  }
}
