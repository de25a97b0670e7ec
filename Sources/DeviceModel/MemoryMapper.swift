public import GuestMemory

/// Puts memory of devices' into the guest's address space, where the guest reaches it without leaving its processor.
///
/// Any thread may call.
public protocol MemoryMapper: AnyObject, Sendable {
  /// Maps bytes of `memory` at a guest-physical address, which has nothing else.
  ///
  /// - Parameters:
  ///   - range: Which bytes: by the addresses that `memory` itself has for them, in one region of it, in whole pages.
  ///   - memory: Stays mapped in this process until it was taken away.
  ///   - address: Where the guest finds them, a multiple of 4096.
  /// - Returns: A number for ``unmap(_:)``.
  /// - Throws: If the host cannot, such as for an address that has something else.
  func map(_ range: Range<UInt64>, of memory: GuestMemory, at address: UInt64) throws -> UInt32

  /// Takes it away: at return no processor reaches it.
  func unmap(_ number: UInt32)
}
