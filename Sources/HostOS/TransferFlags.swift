/// How the kernel is to do one read or write (preadv2(2), io_uring(7)).
public struct TransferFlags: OptionSet, Sendable {
  /// The `RWF_` bits.
  public let rawValue: Int32
  /// Wraps `RWF_` bits.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// A write ends when its bytes are on stable storage (`RWF_DSYNC`).
  public static var dataSync: Self { Self(rawValue: 2) }
  /// What would have to wait for the disk is not done, and `EAGAIN` (`RWF_NOWAIT`).
  public static var noWait: Self { Self(rawValue: 8) }
}
