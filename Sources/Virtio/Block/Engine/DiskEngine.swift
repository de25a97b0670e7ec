/// Does requests on the host, for one queue and on its thread.
///
/// What to do is in the queue's ``DiskRequests``; an engine knows them by their places there. It tells
/// of each request once that it has ended: from ``start(_:)`` if that is at once, else from
/// ``takeEnded()``.
protocol DiskEngine: AnyObject {
  /// Begins what the request in place `index` says, as far as that goes without waiting for long.
  ///
  /// - Returns: Whether it has ended.
  func start(_ index: Int) -> Bool

  /// Hands to the host what was begun since the last time.
  func submit()

  /// The place of a request that has ended since it was begun, if there is one.
  func takeEnded() -> Int?

  /// Waits until ``takeEnded()`` has something; not to be called while nothing is under way.
  func wait()

  /// Whether there is more to do on this thread, for requests that were begun.
  var isBusy: Bool { get }

  /// See ``QueueService/completions``.
  var completions: Int32? { get }

  /// See ``QueueService/hasCompletions``.
  var hasCompletions: Bool { get }
}
