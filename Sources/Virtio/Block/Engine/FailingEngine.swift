import Glibc

/// Fails every request, where the host lacks what an engine needs.
final class FailingEngine: DiskEngine {
  private let requests: DiskRequests

  init(_ requests: DiskRequests) { self.requests = requests }

  var completions: Int32? { nil }
  var hasCompletions: Bool { false }
  var isBusy: Bool { false }

  func start(_ index: Int) -> Bool {
    requests[index].fail(EIO)
    return true
  }

  func submit() {}
  func takeEnded() -> Int? { nil }
  func wait() {}
}
