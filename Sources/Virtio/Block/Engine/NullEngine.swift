import GuestMemory

/// Does the requests of a ``NullDisk``.
final class NullEngine: DiskEngine {
  private let requests: DiskRequests

  init(_ requests: DiskRequests) { self.requests = requests }

  var completions: Int32? { nil }
  var hasCompletions: Bool { false }
  var isBusy: Bool { false }

  func start(_ index: Int) -> Bool {
    if case .read = requests[index].action { requests[index].vector.fillWithZeroes() }
    return true
  }

  func submit() {}
  func takeEnded() -> Int? { nil }
  func wait() {}
}
