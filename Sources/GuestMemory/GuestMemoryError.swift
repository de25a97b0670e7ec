/// An access that does not fit in guest memory.
public struct GuestMemoryError: Error, Equatable, Sendable, CustomStringConvertible {
  /// First guest-physical address of the access.
  public let address: GuestAddress
  /// Length of the access in bytes.
  public let count: UInt64

  /// Describes an access of `count` bytes at `address`.
  public init(address: GuestAddress, count: UInt64) {
    self.address = address
    self.count = count
  }

  /// One line for the log.
  public var description: String { "no guest memory at \(address) for \(count) bytes" }
}
