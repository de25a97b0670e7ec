/// A request of a front end with its payload, both of sound form.
enum VhostUserMessage: Equatable, Sendable {
  case getFeatures
  case setFeatures(UInt64)
  case setOwner
  case resetOwner
  case setMemoryTable([VhostUserRegion])
  case setLogBase(size: UInt64, offset: UInt64)
  case setLogFD
  case setRingSize(Int, UInt32)
  case setRingAddress(Int, VhostUserRingAddresses)
  case setRingBase(Int, UInt32)
  case getRingBase(Int)
  /// Whether a descriptor came with it.
  case setRingKick(Int, hasDescriptor: Bool)
  case setRingCall(Int, hasDescriptor: Bool)
  case setRingError(Int, hasDescriptor: Bool)
  case getProtocolFeatures
  case setProtocolFeatures(UInt64)
  case getQueueCount
  case setRingEnable(Int, Bool)
  case sendRARP(UInt64)
  case setMTU(UInt64)
  case setBackendSocket
  case translation
  case getConfiguration(offset: UInt32, size: UInt32, flags: UInt32)
  case setConfiguration(offset: UInt32, flags: UInt32, bytes: [UInt8])
  case getInflight(VhostUserInflight)
  case setInflight(VhostUserInflight)
  case resetDevice
  case getMemorySlotCount
  case addMemoryRegion(VhostUserRegion)
  case removeMemoryRegion(VhostUserRegion)
  case setStatus(UInt64)
  case getStatus
}
