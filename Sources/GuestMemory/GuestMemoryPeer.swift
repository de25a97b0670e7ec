/// Whoever has guest memory that is not mapped here, and reads and writes it when asked.
///
/// Any thread asks; what one thread asks is done in the order in which it asks, and is done when the call returns.
public protocol GuestMemoryPeer: AnyObject, Sendable {
  /// Reads `count` bytes, more than none; an aligned word of 2, 4 or 8 with one access. Waits, but not for ever.
  ///
  /// - Returns: The bytes, or `nil` if they cannot be had.
  func read(at address: GuestAddress, count: Int) -> [UInt8]?
  /// Writes bytes; an aligned word of 2, 4 or 8 with one access. Waits, but not for ever.
  ///
  /// - Returns: Whether they were written.
  func write(_ bytes: [UInt8], at address: GuestAddress) -> Bool
}
