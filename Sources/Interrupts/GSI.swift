/// A global system interrupt: the number of an interrupt pin across all controllers (ACPI 6.5, 5.2.13).
public struct GSI: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt32
  /// Wraps a number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Wraps a number.
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }
  /// Orders by number.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  /// `GSI 16`.
  public var description: String { "GSI \(rawValue)" }
}
