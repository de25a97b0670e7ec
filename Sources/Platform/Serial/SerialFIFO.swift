/// The 16 bytes of a 16550A's receive or transmit FIFO, each with its error bits.
struct SerialFIFO {
  /// A byte, and the bits of the line status register that came with it.
  struct Entry {
    let byte: UInt8
    var errors: LineStatus = []
  }

  /// How many bytes fit with the FIFOs enabled (PC16550D, 1.0).
  static var depth: Int { 16 }

  private var entries = InlineArray<16, Entry>(repeating: Entry(byte: 0))
  private var head = 0
  private(set) var count = 0
  /// How many bytes fit now: 16, or 1 with the FIFOs disabled.
  private(set) var capacity = 1

  var isEmpty: Bool { count == 0 }
  var hasRoom: Bool { count < capacity }
  var first: Entry? { isEmpty ? nil : entries[head] }

  /// Whether a byte with an error is somewhere in the FIFO.
  var hasErrors: Bool {
    for index in 0..<count where !entries[(head + index) % Self.depth].errors.isEmpty {
      return true
    }
    return false
  }

  /// Adds an entry at the end; there must be room.
  mutating func append(_ entry: Entry) {
    precondition(hasRoom, "a full FIFO takes no more: \(count)")
    entries[(head + count) % Self.depth] = entry
    count += 1
  }

  /// Takes the oldest entry.
  mutating func removeFirst() -> Entry? {
    guard let entry = first else { return nil }
    head = (head + 1) % Self.depth
    count -= 1
    return entry
  }

  /// Forgets the errors of the oldest entry, once they have been shown.
  mutating func clearFirstErrors() {
    guard !isEmpty else { return }
    entries[head].errors = []
  }

  /// Drops every entry.
  mutating func clear() {
    head = 0
    count = 0
  }

  /// Drops every entry, and from now on holds `capacity` of them.
  mutating func resize(to capacity: Int) {
    clear()
    self.capacity = capacity
  }
}
