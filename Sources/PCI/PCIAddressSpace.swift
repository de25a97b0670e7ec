/// Where BARs are put so that the guest's accesses find them: the machine's buses, or a test's fake.
///
/// Calls for one window come one at a time; calls for different windows may come at once, from vCPU
/// threads that are in the middle of a bus access, with no lock held.
public protocol PCIAddressSpace: AnyObject, Sendable {
  /// Makes `window` answer at `address`, in the space of its BAR; fails if something else is there.
  func map(_ window: PCIBARWindow, at address: UInt64) throws
  /// Makes a mapped `window` answer at `address` instead; if that fails it stays where it was.
  func move(_ window: PCIBARWindow, to address: UInt64) throws
  /// Makes a mapped `window` answer nowhere.
  func unmap(_ window: PCIBARWindow)
}
