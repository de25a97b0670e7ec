public import GuestMemory

/// A ring's base in the form that vhost-user gives it (`VHOST_USER_GET_VRING_BASE`): one word for
/// both kinds of ring.
extension VirtqueueConfiguration {
  /// The base of the queue's state.
  ///
  /// Split: the available index; the used index is in the ring itself. Packed: the available place
  /// in bits 0 to 14 with its wrap counter in bit 15, and the used place with its own in bits 16 to
  /// 31.
  public var ringBase: UInt32 {
    isPacked ? UInt32(state.available) | UInt32(state.used) << 16 : UInt32(state.available)
  }

  /// Goes on where `base` says; whether that can be is for ``check(in:)`` to find out.
  ///
  /// - Parameters:
  ///   - base: What ``ringBase`` was.
  ///   - memory: Holds the ring, where a split one keeps the used index.
  /// - Throws: ``VirtqueueError`` if that index is not in RAM.
  public mutating func setRingBase(
    _ base: UInt32,
    in memory: GuestMemory
  ) throws(VirtqueueError) {
    state.available = UInt16(truncatingIfNeeded: base)
    guard !isPacked else {
      state.used = UInt16(truncatingIfNeeded: base >> 16)
      return
    }
    do throws(GuestMemoryError) {
      // 2.7.8: the index follows the flags.
      state.used = try memory.load16(at: usedRing &+ 2)
    } catch {
      throw .outsideMemory(.used, usedRing, count: 4)
    }
  }
}
