import Synchronization

/// What a guest has written to a function's configuration registers, and what kind of registers they were.
public struct PCIConfigurationState: Equatable, Sendable {
  /// A word in which the guest can change something.
  public struct Word: Equatable, Sendable {
    /// Its place: a quarter of its offset, 0...1023.
    public var index: UInt16
    /// The bits that the guest can change, by which a BAR says its size.
    public var mask: UInt32
    /// All bits.
    public var value: UInt32

    /// Describes a word.
    public init(index: UInt16, mask: UInt32, value: UInt32) {
      self.index = index
      self.mask = mask
      self.value = value
    }
  }

  /// Device and manufacturer, the first word of the registers.
  public var identity: UInt32
  /// The words by ascending place.
  public var words: [Word]

  /// Bundles words.
  public init(identity: UInt32, words: [Word]) {
    self.identity = identity
    self.words = words
  }
}

extension PCIConfigurationSpace {
  /// What the guest has written; any thread may ask.
  public var savedState: PCIConfigurationState {
    state.withLock { state in
      PCIConfigurationState(
        identity: state.values[0],
        words: state.values.indices.compactMap { index in
          let mask = state.mask(index)
          return mask == 0
            ? nil
            : PCIConfigurationState.Word(
              index: UInt16(index),
              mask: mask,
              value: state.values[index]
            )
        }
      )
    }
  }

  /// Whether a state is one of registers like these: the same device, with the same bits to change, BARs
  /// of the same sizes among them.
  public func matches(_ saved: PCIConfigurationState) -> Bool {
    let own = savedState
    return own.identity == saved.identity
      && own.words.map(\.index) == saved.words.map(\.index)
      && own.words.map(\.mask) == saved.words.map(\.mask)
  }

  /// Takes the bits that the guest can change from a state that ``matches(_:)``; the others stay.
  ///
  /// Pins, vectors and the places of BARs do not follow by themselves.
  public func restore(_ saved: PCIConfigurationState) {
    state.withLock { state in
      for word in saved.words where state.values.indices.contains(Int(word.index)) {
        let index = Int(word.index)
        let mask = state.mask(index)
        state.values[index] = state.values[index] & ~mask | word.value & mask
      }
    }
  }
}

extension PCIConfigurationSpace.State {
  fileprivate func mask(_ index: Int) -> UInt32 { writable[index] | clearable[index] }
}
