import Synchronization

/// Notes which pages of a guest were written to, in a bitmap that another process reads and clears.
///
/// A bit for each 4 KiB: that of address 0 is bit 0 of the first byte. Any thread may mark.
@safe
public final class DirtyLog: Sendable {
  /// The bytes of guest memory that a bit stands for.
  public static var pageSize: UInt64 { 4096 }

  /// A range that is noted at another place as well, such as a ring.
  public struct Alias: Sendable {
    /// The first guest address of the range.
    public let start: GuestAddress
    /// Its length in bytes.
    public let count: UInt64
    /// What its first byte is noted as.
    public let target: GuestAddress

    /// Notes `count` bytes at `start` as being at `target` too.
    public init(start: GuestAddress, count: UInt64, target: GuestAddress) {
      self.start = start
      self.count = count
      self.target = target
    }
  }

  private let bitmap: SharedMapping
  private let aliases: [Alias]

  /// Notes into `bitmap`.
  public init(_ bitmap: SharedMapping, aliases: [Alias] = []) {
    self.bitmap = bitmap
    self.aliases = aliases
  }

  /// Whether all of `count` bytes at `address` have bits.
  public func covers(_ address: GuestAddress, count: UInt64) -> Bool {
    let (end, overflow) = address.rawValue.addingReportingOverflow(max(count, 1) - 1)
    return !overflow && end / Self.pageSize / 8 < bitmap.count
  }

  /// Notes that `count` bytes at `address` were written; to be called after that.
  ///
  /// What has no bit is passed over.
  public func mark(_ address: GuestAddress, count: UInt64) {
    guard count > 0 else { return }
    set(address.rawValue, count)
    for alias in aliases {
      let offset = address.rawValue &- alias.start.rawValue
      if offset < alias.count {
        set(alias.target.rawValue &+ offset, min(count, alias.count - offset))
      } else if alias.start.rawValue &- address.rawValue < count {
        let skipped = alias.start.rawValue &- address.rawValue
        set(alias.target.rawValue, min(count - skipped, alias.count))
      }
    }
  }

  private func set(_ address: UInt64, _ count: UInt64) {
    guard count > 0 else { return }
    let (end, overflow) = address.addingReportingOverflow(count &- 1)
    let first = address / Self.pageSize
    let last = (overflow ? .max : end) / Self.pageSize
    var page = first
    while page <= last, page / 8 < bitmap.count {
      let end = min(last, page | 7)
      let bits = UInt8(truncatingIfNeeded: (0xFF << (page & 7)) & (0xFF >> (7 - (end & 7))))
      // SAFETY: the byte is in the bitmap, and `Atomic<UInt8>` has the layout of `UInt8`.
      // Releasing: whoever finds the bit and clears it reads what was written before.
      _ = unsafe (bitmap.address + Int(page / 8)).assumingMemoryBound(to: Atomic<UInt8>.self)
        .pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent)
      guard end < last else { return }
      page = end + 1
    }
  }
}
