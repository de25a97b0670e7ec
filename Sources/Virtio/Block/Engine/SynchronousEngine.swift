/// Does requests by calls that return when they are done, one after the other.
///
/// No call moves more than a bounded number of bytes: long requests are continued piece by piece, so
/// that the thread can look at the order to stop in between.
final class SynchronousEngine: DiskEngine {
  private let calls: DiskCalls
  private let requests: DiskRequests
  // What has been begun and not ended, in order.
  private var begun: [Int] = []

  init(_ image: DiskImage, _ requests: DiskRequests) {
    calls = DiskCalls(image)
    self.requests = requests
    begun.reserveCapacity(requests.count)
  }

  var completions: Int32? { nil }
  var hasCompletions: Bool { false }
  var isBusy: Bool { !begun.isEmpty }

  func start(_ index: Int) -> Bool {
    if begun.isEmpty, calls.perform(&requests[index]) { return true }
    begun.append(index)
    return false
  }

  func submit() {}

  func takeEnded() -> Int? {
    guard let first = begun.first, calls.perform(&requests[first]) else { return nil }
    return begun.removeFirst()
  }

  func wait() {
    // What is left is done in `takeEnded()`.
  }
}
