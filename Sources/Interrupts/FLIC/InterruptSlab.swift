/// Memory for the nodes of any number of FIFO queues, in chunks that never move.
///
/// Adding and taking cost the same however much is queued: a node comes from a list of free ones or
/// from the end of the last chunk, and a full chunk is not copied to make room.
struct InterruptSlab {
  /// A first-in-first-out queue of the slab's nodes.
  struct Queue {
    fileprivate var head = InterruptSlab.none
    fileprivate var tail = InterruptSlab.none
    /// How many interrupts are queued.
    fileprivate(set) var count = 0
  }

  private struct Node {
    var interrupt: FloatingInterrupt
    var next: UInt32
  }

  private static var none: UInt32 { .max }
  private static var chunkBits: Int { 12 }
  private static var chunkSize: Int { 1 << chunkBits }

  private var chunks: [[Node]] = []
  private var firstFree = none

  private subscript(index: UInt32) -> Node {
    get { chunks[Int(index) >> Self.chunkBits][Int(index) & (Self.chunkSize - 1)] }
    _modify { yield &chunks[Int(index) >> Self.chunkBits][Int(index) & (Self.chunkSize - 1)] }
  }

  private mutating func allocate(_ interrupt: FloatingInterrupt) -> UInt32 {
    let node = Node(interrupt: interrupt, next: Self.none)
    let free = firstFree
    guard free == Self.none else {
      firstFree = self[free].next
      self[free] = node
      return free
    }
    if chunks.last?.count ?? Self.chunkSize == Self.chunkSize {
      chunks.append([])
      chunks[chunks.count - 1].reserveCapacity(Self.chunkSize)
    }
    let last = chunks.count - 1
    chunks[last].append(node)
    return UInt32(last << Self.chunkBits | (chunks[last].count - 1))
  }

  private mutating func release(_ index: UInt32) {
    self[index].next = firstFree
    firstFree = index
  }

  /// Adds `interrupt` at the end of `queue`.
  mutating func append(_ interrupt: FloatingInterrupt, to queue: inout Queue) {
    let index = allocate(interrupt)
    if queue.tail == Self.none {
      queue.head = index
    } else {
      self[queue.tail].next = index
    }
    queue.tail = index
    queue.count += 1
  }

  /// Takes the first interrupt out of `queue`.
  mutating func removeFirst(of queue: inout Queue) -> FloatingInterrupt? {
    let index = queue.head
    guard index != Self.none else { return nil }
    let node = self[index]
    queue.head = node.next
    if node.next == Self.none { queue.tail = Self.none }
    queue.count -= 1
    release(index)
    return node.interrupt
  }

  /// Takes the first interrupt for which `isWanted` holds out of `queue`; O(n).
  mutating func removeFirst(
    of queue: inout Queue,
    where isWanted: (FloatingInterrupt) -> Bool
  ) -> FloatingInterrupt? {
    var previous = Self.none
    var index = queue.head
    while index != Self.none {
      let node = self[index]
      guard isWanted(node.interrupt) else {
        previous = index
        index = node.next
        continue
      }
      if previous == Self.none {
        queue.head = node.next
      } else {
        self[previous].next = node.next
      }
      if queue.tail == index { queue.tail = previous }
      queue.count -= 1
      release(index)
      return node.interrupt
    }
    return nil
  }

  /// Calls `body` with each interrupt of `queue`, first to last.
  func forEach(in queue: Queue, _ body: (FloatingInterrupt) -> Void) {
    var index = queue.head
    while index != Self.none {
      let node = self[index]
      body(node.interrupt)
      index = node.next
    }
  }
}
