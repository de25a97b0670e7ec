public import HostOS

/// Transfers that a ring does while the thread goes on.
extension GuestIOVector {
  /// Has `ring` read into the ranges, which stay as they are until the operation has ended.
  ///
  /// What the kernel then says it has read is used up with ``skip(_:)``.
  ///
  /// - Parameters:
  ///   - ring: The ring.
  ///   - file: The number of one of its files.
  ///   - offset: The first byte.
  ///   - flags: How.
  ///   - token: What the completion is known by.
  /// - Returns: Whether the ring had room.
  public borrowing func read(
    with ring: IOUring,
    file: Int,
    at offset: UInt64,
    flags: TransferFlags = [],
    token: UInt64
  ) -> Bool {
    unsafe handOver { start, count in
      unsafe ring.read(start, count: count, file: file, at: offset, flags: flags, token: token)
    }
  }

  /// Has `ring` write the ranges, which stay as they are until the operation has ended.
  ///
  /// What the kernel then says it has written is used up with ``skip(_:)``.
  ///
  /// - Parameters:
  ///   - ring: The ring.
  ///   - file: The number of one of its files.
  ///   - offset: The first byte.
  ///   - flags: How.
  ///   - token: What the completion is known by.
  /// - Returns: Whether the ring had room.
  public borrowing func write(
    with ring: IOUring,
    file: Int,
    at offset: UInt64,
    flags: TransferFlags = [],
    token: UInt64
  ) -> Bool {
    unsafe handOver { start, count in
      unsafe ring.write(start, count: count, file: file, at: offset, flags: flags, token: token)
    }
  }

  private borrowing func handOver(_ body: (UnsafeRawPointer, Int) -> Bool) -> Bool {
    // SAFETY: the segments point into the mapping that `memory` keeps alive, which is longer than the
    // ring works: a ring waits for its operations before it goes. The list stays where it is while it
    // is not changed.
    unsafe segments.withUnsafeBufferPointer { all in
      guard let start = all.baseAddress else { return false }
      return unsafe body(UnsafeRawPointer(start), min(all.count, Self.segmentLimit))
    }
  }
}
