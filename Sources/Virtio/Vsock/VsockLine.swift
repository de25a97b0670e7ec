/// Connections that wait for their turn, the first come first.
struct VsockLine {
  private var waiting: [VsockConnection] = []
  private var start = 0

  /// Whether nobody waits.
  var isEmpty: Bool { start == waiting.count }

  /// Adds a connection to the end, unless it is in the line.
  mutating func append(_ connection: VsockConnection) {
    guard !connection.isInLine else { return }
    connection.isInLine = true
    waiting.append(connection)
  }

  /// Takes the first.
  mutating func popFirst() -> VsockConnection? {
    guard !isEmpty else { return nil }
    let first = waiting[start]
    start += 1
    first.isInLine = false
    if start > waiting.count / 2 {
      waiting.removeSubrange(0..<start)
      start = 0
    }
    return first
  }

  /// Forgets all.
  mutating func removeAll() {
    for connection in waiting[start...] { connection.isInLine = false }
    waiting = []
    start = 0
  }
}
