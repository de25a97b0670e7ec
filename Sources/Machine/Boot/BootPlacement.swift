public import GuestMemory

/// One thing that the loader put into guest memory.
public struct BootPlacement: Equatable, Sendable {
  /// What it is: `kernel`, `initrd`, `command line`.
  public let name: String
  /// Where it is.
  public let range: Range<GuestAddress>

  /// Names `count` bytes at `start`.
  init(_ name: String, _ start: GuestAddress, count: UInt64) {
    self.name = name
    range = start..<(start &+ count)
  }
}
