/// All that one 8259A remembers (Intel 8259A data sheet; ICH9, 13.4, for its place in a PC).
public struct PICState: Equatable, Sendable {
  /// What the next write to the odd port is.
  public enum Sequence: UInt8, Sendable {
    /// OCW1, of a chip that was never initialised: it requests nothing.
    case never
    /// ICW2.
    case vector
    /// ICW3.
    case cascade
    /// ICW4.
    case mode
    /// OCW1.
    case done
  }

  /// How far initialisation is.
  public var sequence = Sequence.never
  /// ICW1, whose bits 0 and 1 say which words follow.
  public var firstWord: UInt8 = 0
  /// ICW2: the vector of input 0, a multiple of 8.
  public var vectorBase: UInt8 = 0
  /// The requests of edge inputs, one bit each.
  public var edges: UInt8 = 0
  /// Those of ``edges`` that stay although their level has fallen: only a controller that forgets no edge, such
  /// as KVM's, leaves them, and here no edge becomes one.
  public var latchedEdges: UInt8 = 0
  /// ISR: what has been acknowledged and not ended.
  public var inService: UInt8 = 0
  /// IMR.
  public var mask: UInt8 = 0
  /// ELCR: inputs that work by level.
  public var levelTriggered: UInt8 = 0
  /// The input that has the lowest priority, 0 to 7; the next has the highest.
  public var lowestPriority: UInt8 = 7
  /// ICW4: an interrupt ends when it is acknowledged.
  public var endsAutomatically = false
  /// ICW4: a second chip's interrupt does not lock out that chip's more urgent ones.
  public var nestsSpecially = false
  /// OCW2: what ended automatically gets the lowest priority.
  public var rotatesAutomatically = false
  /// OCW3: what is in service and masked locks out nobody.
  public var masksSpecially = false
  /// OCW3: the even port reads as ISR, not IRR.
  public var readsInService = false
  /// OCW3: the next read acknowledges.
  public var polls = false

  /// A chip that has just been switched on.
  public init() {}

  /// The same, without what no chip can be.
  var possible: Self {
    var state = self
    state.vectorBase &= 0xF8
    state.lowestPriority &= 7
    return state
  }
}

/// All that a pair of 8259As remembers, to be saved and put back.
public struct PICPairState: Equatable, Sendable {
  /// The chip whose output goes to the processor: inputs 0 to 7.
  public var primary = PICState()
  /// The chip at the first's input 2: inputs 8 to 15.
  public var secondary = PICState()
  /// The levels that were last seen, one bit a pin; a level that is high now and was not is an edge.
  public var levels: UInt16 = 0

  /// A pair that has just been switched on.
  public init() {}
}
