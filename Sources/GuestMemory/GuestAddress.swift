/// A guest-physical address, in bytes.
public struct GuestAddress: RawRepresentable, Hashable, Comparable, BitwiseCopyable, Sendable,
  CustomStringConvertible
{
  /// The address.
  public let rawValue: UInt64

  /// Wraps an address.
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// Wraps an address.
  @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// Orders by value.
  @inlinable public static func < (left: Self, right: Self) -> Bool {
    left.rawValue < right.rawValue
  }

  /// The address `offset` bytes on; it wraps at 2^64, so check the result as any guest value.
  @inlinable public static func &+ (left: Self, offset: UInt64) -> Self {
    Self(left.rawValue &+ offset)
  }

  /// Hexadecimal: `0xfee00000`.
  public var description: String { "0x" + String(rawValue, radix: 16) }
}
