public import GuestMemory

/// One range of the address map that a boot protocol hands to the guest.
public struct E820Entry: Equatable, Sendable {
  /// What the guest may do with a range (ACPI Specification 6.5, table 15.2).
  public enum Kind: UInt32, Sendable {
    /// RAM.
    case usable = 1
    /// Not to be touched, or only by what knows it.
    case reserved = 2
  }

  /// The addresses.
  public let range: Range<GuestAddress>
  /// What they are.
  public let kind: Kind

  /// Says what `range` is.
  public init(_ range: Range<GuestAddress>, _ kind: Kind) {
    self.range = range
    self.kind = kind
  }
}
