/// Chains that another device had taken when it died, the oldest first.
struct UnfinishedChains {
  private let chains: [UInt16]
  private var position = 0
  private var wasLast = false

  init(_ chains: [UInt16] = []) { self.chains = chains }

  /// Whether none is left.
  var isEmpty: Bool { position == chains.count }

  /// The next one, if any is left.
  mutating func next() -> UInt16? {
    guard position < chains.count else {
      wasLast = false
      return nil
    }
    position += 1
    wasLast = true
    return chains[position - 1]
  }

  /// Undoes the last ``next()``, if that gave one.
  mutating func putBack() -> Bool {
    guard wasLast else { return false }
    wasLast = false
    position -= 1
    return true
  }
}
