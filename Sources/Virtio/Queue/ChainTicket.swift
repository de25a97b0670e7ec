/// What a service keeps of a chain that it completes later, while its ``DescriptorChain`` goes on
/// to others.
///
/// Taken from ``DescriptorChain/ticket`` after a ``Virtqueue/pop(into:)``, and given back to the
/// same queue once.
public struct ChainTicket: BitwiseCopyable, Equatable, Sendable {
  /// The number by which the driver knows the chain: its first descriptor's, or its buffer ID in a
  /// packed ring.
  public internal(set) var id: UInt16 = 0
  /// How many descriptors of the ring the chain takes.
  var slots: UInt16 = 0
  /// Whether the chain has a buffer that the device may write.
  var isWritable = false
  /// Whether another device had taken it when it died.
  var isUnfinished = false
  /// The chain's entry in the region of chains under way, of a packed ring.
  var entry: UInt16 = 0
  /// The place in the order of the chains, where that order is kept.
  var turn: UInt16 = 0

  init() {}
}
