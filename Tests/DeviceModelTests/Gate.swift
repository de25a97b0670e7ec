import Glibc
import Synchronization

/// A gate that opens once.
final class Gate: Sendable {
  private let opened = Atomic<Bool>(false)

  var isOpen: Bool { opened.load(ordering: .acquiring) }

  func open() { opened.store(true, ordering: .releasing) }

  /// Waits until it is open, 20 seconds at most.
  ///
  /// - Returns: Whether it opened.
  @discardableResult
  func wait() -> Bool {
    for _ in 0..<200_000 {
      if isOpen { return true }
      usleep(100)
    }
    return false
  }
}
