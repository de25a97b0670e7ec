/// All that an I/O APIC remembers, to be saved and put back.
public struct IOAPICState: Equatable, Sendable {
  /// IOREGSEL.
  public var index: UInt8
  /// IOAPICID, 0 to 15.
  public var id: UInt8
  /// IOAPICARB, 0 to 15.
  public var arbitrationID: UInt8
  /// The redirection table with its remote IRR bits; entries beyond the last pin are not looked at,
  /// missing ones are as after reset.
  public var entries: [RedirectionEntry]
  /// Edges that wait to be sent, one bit a pin.
  public var pendingEdges: UInt32
  /// The levels that were last seen, one bit a pin; a level that is high now and was not is an edge.
  public var levels: UInt32

  /// Describes the state of an I/O APIC.
  public init(
    index: UInt8,
    id: UInt8,
    arbitrationID: UInt8,
    entries: [RedirectionEntry],
    pendingEdges: UInt32,
    levels: UInt32
  ) {
    self.index = index
    self.id = id
    self.arbitrationID = arbitrationID
    self.entries = entries
    self.pendingEdges = pendingEdges
    self.levels = levels
  }
}
