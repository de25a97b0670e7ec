/// The numbers of the bits that are set in a word, the lowest first.
struct BitIndices: Sequence, IteratorProtocol {
  private var rest: UInt32

  init(_ word: UInt32) { rest = word }

  mutating func next() -> Int? {
    guard rest != 0 else { return nil }
    defer { rest &= rest &- 1 }
    return rest.trailingZeroBitCount
  }
}
