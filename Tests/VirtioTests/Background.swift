import HostOS
import Synchronization

/// Runs `body` while another thread runs `background` again and again, and waits for both.
func withBackground(_ background: @escaping () -> Void, _ body: () throws -> Void) throws {
  nonisolated(unsafe) let background = background
  let isDone = Flag()
  let thread = try Thread("background") {
    while !isDone.value.load(ordering: .relaxed) { background() }
  }
  let result = Result { try body() }
  isDone.value.store(true, ordering: .relaxed)
  thread.join()
  try result.get()
}

private final class Flag: Sendable {
  let value = Atomic(false)
}
