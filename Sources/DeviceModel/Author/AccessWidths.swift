/// The widths of access that a region's registers have.
public struct AccessWidths: OptionSet, Hashable, Sendable {
  /// The widths in bytes, added up.
  public let rawValue: UInt8
  /// Wraps widths that are added up.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue & 0b1111 }

  /// One byte.
  @inlinable public static var one: Self { Self(rawValue: 1) }
  /// Two bytes.
  @inlinable public static var two: Self { Self(rawValue: 2) }
  /// Four bytes.
  @inlinable public static var four: Self { Self(rawValue: 4) }
  /// Eight bytes.
  @inlinable public static var eight: Self { Self(rawValue: 8) }
  /// All of them.
  @inlinable public static var all: Self { [.one, .two, .four, .eight] }

  /// The width in which `width` bytes at `offset` are accessed: the widest that is aligned there and no
  /// wider, or `nil` if there is none.
  package func width(of width: Int, at offset: UInt64) -> Int? {
    var candidate = width
    while candidate > 0 {
      let isAligned = offset & UInt64(candidate &- 1) == 0
      if isAligned, contains(Self(rawValue: UInt8(truncatingIfNeeded: candidate))) {
        return candidate
      }
      candidate /= 2
    }
    return nil
  }
}
