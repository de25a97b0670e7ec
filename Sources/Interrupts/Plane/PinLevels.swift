import Synchronization

/// The levels at the input pins of one interrupt controller, one bit each.
///
/// Whoever changes a level sets it here and then has the controller look (``InterruptController/refresh()``).
/// The controller reads the newest levels under its own lock, so that a rise and a fall that overtake
/// one another cannot leave it with the older of the two. Any thread may call.
public final class PinLevels: Sendable {
  private let mask = Atomic<UInt32>(0)

  /// Makes 32 low levels.
  public init() {}

  /// Every level at once: pin `n` is bit `n`.
  public var all: UInt32 { mask.load(ordering: .sequentiallyConsistent) }

  /// Sets the level of `pin`, 0 to 31.
  public func set(_ pin: Int, _ level: Bool) {
    precondition((0..<32).contains(pin), "pin \(pin)")
    if level {
      mask.bitwiseOr(1 << UInt32(pin), ordering: .sequentiallyConsistent)
    } else {
      mask.bitwiseAnd(~(1 << UInt32(pin)), ordering: .sequentiallyConsistent)
    }
  }
}
