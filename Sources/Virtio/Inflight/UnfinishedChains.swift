/// Chains that another device had taken when it died, the oldest first.
struct UnfinishedChains {
  /// A chain: the number of its first descriptor, or of its entry in the region of a packed ring; and how
  /// many descriptors of the ring it takes.
  ///
  /// Kept, since the other side could change what is in the region.
  struct Chain {
    let number: UInt16
    let slots: UInt16
  }

  private let chains: [Chain]
  private var position = 0
  private var wasLast = false

  init(_ chains: [Chain] = []) { self.chains = chains }

  /// Whether none is left.
  var isEmpty: Bool { position == chains.count }

  /// The next one, if any is left.
  mutating func next() -> Chain? {
    guard position < chains.count else {
      wasLast = false
      return nil
    }
    position += 1
    wasLast = true
    return chains[position - 1]
  }

  /// Undoes the last ``next()`` that gave one, whatever came after it.
  mutating func putBackAnyway() {
    precondition(position > 0, "put back without a pop")
    wasLast = false
    position -= 1
  }

  /// Undoes the last ``next()``, if that gave one.
  mutating func putBack() -> Bool {
    guard wasLast else { return false }
    wasLast = false
    position -= 1
    return true
  }
}
