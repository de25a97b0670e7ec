public import GuestMemory
public import Virtio

/// What a front end does before a guest can use a device.
extension VhostUserFrontEnd {
  /// `VHOST_USER_F_PROTOCOL_FEATURES`.
  public static let protocolFeaturesBit: UInt64 = 1 << 30

  /// Agrees on features: all that are offered but those in `without`.
  ///
  /// - Returns: The virtio features.
  @discardableResult
  public func negotiate(
    without: VirtioFeatures = [],
    withoutProtocol: UInt64 = 0,
    logsWrites: Bool = false
  ) throws -> VirtioFeatures {
    let offered = try ask(1)
    let extensions = try ask(15) & ~withoutProtocol
    try send(16, Self.words(extensions))
    usesGuestAddresses = extensions & 1 << 21 != 0
    try tell(3)
    var features = VirtioFeatures(rawValue: offered).subtracting(without)
    if !logsWrites { features.remove(VirtioFeatures(bit: 26)) }
    try tell(2, Self.words(features.rawValue))
    return features
  }

  /// The description of a region as it is in messages.
  public func description(of region: GuestRegion) -> [UInt8] {
    Self.words(
      region.start.rawValue,
      region.count,
      usesGuestAddresses ? 0 : Self.userBase + region.start.rawValue,
      region.fileOffset
    )
  }

  /// The number of the memory file.
  public var memoryNumber: Int32 { memory.file.borrow { $0.rawValue } ?? -1 }

  /// Shares all regions, in one table or one by one.
  public func shareMemory(oneByOne: Bool = false) throws {
    guard oneByOne else {
      let regions = memory.regions
      try tell(
        5,
        Self.words(UInt32(regions.count), UInt32(0)) + regions.flatMap(description),
        descriptors: regions.map { _ in memoryNumber }
      )
      return
    }
    for region in memory.regions {
      try tell(37, Self.words(UInt64(0)) + description(of: region), descriptors: [memoryNumber])
    }
  }

  /// An address as messages about rings have it.
  public func ringAddress(_ address: GuestAddress) -> UInt64 {
    usesGuestAddresses ? address.rawValue : Self.userBase + address.rawValue
  }

  /// The payload that places a ring.
  public func placement(_ index: Int, _ queue: MockQueue, flags: UInt32 = 0, log: UInt64? = nil)
    -> [UInt8]
  {
    Self.words(
      UInt32(index),
      flags,
      ringAddress(queue.descriptorTable),
      ringAddress(queue.usedRing),
      ringAddress(queue.availableRing),
      log ?? queue.usedRing.rawValue
    )
  }

  /// Says everything about a ring, so that it is served from now on.
  public func startRing(
    _ index: Int,
    _ queue: MockQueue,
    base: UInt32? = nil,
    flags: UInt32 = 0,
    log: UInt64? = nil
  ) throws {
    let number = UInt32(index)
    try tell(8, Self.words(number, UInt32(queue.size)))
    try tell(10, Self.words(number, base ?? (queue.isPacked ? 0x8000_8000 : 0)))
    try tell(9, placement(index, queue, flags: flags, log: log))
    try tell(13, Self.words(UInt64(index)), descriptors: [calls[index].rawValue])
    try tell(14, Self.words(UInt64(index)), descriptors: [errors[index].rawValue])
    try tell(12, Self.words(UInt64(index)), descriptors: [kicks[index].rawValue])
    try tell(18, Self.words(number, UInt32(1)))
  }

  /// Stops a ring, and returns its base.
  public func stopRing(_ index: Int) throws -> UInt32 {
    try send(11, Self.words(UInt32(index), UInt32(0)))
    return Self.word(try receiveReply(11).payload, at: 4, as: UInt32.self)
  }

  /// Makes a queue at `base`, which is aligned to a page.
  public func makeQueue(
    at base: GuestAddress,
    size: UInt16 = 64,
    features: VirtioFeatures
  ) throws -> MockQueue {
    try memory.zero(base, count: MockQueue.byteCount(size))
    return try MockQueue(
      in: memory,
      at: base,
      size: size,
      eventIndex: features.contains(.eventIndex),
      isPacked: features.contains(.packedRing)
    )
  }

  /// Rings for a ring's queue, if the device wants that.
  public func kick(_ index: Int, _ queue: MockQueue) throws {
    if try queue.needsKick() { kicks[index].signal() }
  }
}
