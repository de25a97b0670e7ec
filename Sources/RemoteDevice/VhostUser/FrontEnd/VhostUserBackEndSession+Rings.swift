import GuestMemory
import HostOS
import Virtio

/// Having rings served, and no longer.
extension VhostUserBackEndSession {
  /// Where rings and memory are for the back end, above where the guest has them.
  ///
  /// The numbers mean nothing to it: our own addresses are not its business.
  private static var userBase: UInt64 { 1 << 46 }
  /// More than what any device here needs to note what is under way.
  private static var inflightLimit: UInt64 { 64 << 20 }

  /// What rings are served with.
  struct Start {
    /// What the driver has set up.
    let activation: VirtioActivation
    /// How many of the queues, from the first on, are the back end's.
    let count: Int
    /// Signalled by the back end, by queue: buffers were used, and the ring is broken.
    let calls: [EventFD]
    let errors: [EventFD]
    /// Whether another back end has served these rings before.
    let isTakenOver: Bool
    /// Whether that may have done one request before another.
    let completesOutOfOrder: Bool
  }

  /// Has the back end serve the rings.
  ///
  /// - Parameters:
  ///   - start: What it takes.
  ///   - inflight: What is noted of what is under way; made by the first back end.
  /// - Throws: ``VhostUserBackEndError``, which ends the connection.
  mutating func start(
    _ start: Start,
    _ inflight: inout VhostUserInflightFile?
  ) throws(VhostUserBackEndError) {
    let deadline = self.deadline
    let activation = start.activation
    let wanted = activation.features.subtracting(kind.ownFeatures)
    let missing = wanted.subtracting(agreement.features)
    guard missing.isEmpty else {
      throw .lacks("the features 0x\(String(missing.rawValue, radix: 16)), which the guest uses")
    }
    try tellStatus([.acknowledge, .driver, .featuresOK], deadline)
    try tell(
      .setFeatures,
      wanted.union(agreement.features.intersection(.protocolFeatures)).rawValue,
      deadline
    )
    try share(activation.memory, deadline)
    let queues = activation.queues.prefix(start.count).compactMap { $0 }
    try note(queues, start.count, &inflight, deadline)
    for queue in queues {
      let base = try Self.base(of: queue, start, isNoted: inflight != nil)
      hasBegun = true
      try startRing(queue, base: base, start, deadline)
      served.append(queue.index)
    }
    try tellStatus([.acknowledge, .driver, .featuresOK, .driverOK], deadline)
  }

  /// Has the back end signal another eventfd for a ring that it serves.
  mutating func setCall(_ call: EventFD, of index: Int) throws(VhostUserBackEndError) {
    guard served.contains(index) else { return }
    try hand(call, .setRingCall, index, deadline)
  }

  /// Ends what is under way on all rings, and has none served; then puts the device back.
  mutating func stop() throws(VhostUserBackEndError) {
    let deadline = self.deadline
    for index in served {
      _ = try client.exchange(.getRingBase, Self.ring(index, 0), count: 8, deadline)
    }
    served = []
    hasBegun = false
    if agreement.extensions.contains(.resetDevice) { try client.tell(.resetDevice, [], deadline) }
    try tellStatus([], deadline)
  }

  private mutating func startRing(
    _ queue: VirtqueueConfiguration,
    base: UInt32,
    _ start: Start,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    let index = queue.index
    try client.tell(.setRingSize, Self.ring(index, UInt32(queue.size)), deadline)
    try client.tell(.setRingBase, Self.ring(index, base), deadline)
    let addresses = VhostUserRingAddresses(
      flags: 0,
      descriptors: user(queue.descriptorTable),
      used: user(queue.usedRing),
      available: user(queue.availableRing),
      log: 0
    )
    try client.tell(.setRingAddress, addresses.bytes(of: index), deadline)
    try hand(start.calls[index], .setRingCall, index, deadline)
    try hand(start.errors[index], .setRingError, index, deadline)
    try hand(queue.kick, .setRingKick, index, deadline)
    if agreement.features.contains(.protocolFeatures) {
      try client.tell(.setRingEnable, Self.ring(index, 1), deadline)
    }
  }

  private mutating func hand(
    _ event: EventFD,
    _ request: VhostUserRequest,
    _ index: Int,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    var bytes = NativeBytes()
    bytes.append(UInt64(index))
    try client.tell(request, bytes.array, descriptors: [event.share()], deadline)
  }

  /// Where a back end begins on a ring.
  ///
  /// After a death nobody can say where the dead one stood. With a note of what is under way, that counts
  /// and not this. Without it, a back end that uses buffers in their order stood where the ring says; of one
  /// that does not, what is left is known only if nothing is.
  private static func base(
    of queue: VirtqueueConfiguration,
    _ start: Start,
    isNoted: Bool
  ) throws(VhostUserBackEndError) -> UInt32 {
    guard start.isTakenOver, !(queue.isPacked && isNoted) else { return queue.ringBase }
    guard !queue.isPacked else {
      throw .lacks("INFLIGHT_SHMFD: nobody knows how far packed rings were served")
    }
    let memory = start.activation.memory
    // 2.7.6, 2.7.8: both indices follow the flags.
    guard let used = try? memory.load16(at: queue.usedRing &+ 2),
      let available = try? memory.load16(at: queue.availableRing &+ 2)
    else { return queue.ringBase }
    guard isNoted || !start.completesOutOfOrder || used == available else {
      throw .lacks("INFLIGHT_SHMFD: nobody knows which requests were done")
    }
    return UInt32(used)
  }

  private mutating func share(
    _ memory: GuestMemory,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    guard let file = memory.file.borrow({ $0.rawValue }) else {
      preconditionFailure("guest memory without a file")
    }
    let regions = memory.regions
    precondition(regions.count <= VhostUserMessage.regionLimit, "\(regions.count) regions")
    var bytes = NativeBytes()
    bytes.append(UInt64(regions.count))
    for region in regions {
      let description = VhostUserRegion(
        guestAddress: region.start.rawValue,
        size: region.count,
        userAddress: user(region.start),
        offset: region.fileOffset
      )
      bytes.append(description.bytes)
    }
    try client.tell(
      .setMemoryTable,
      bytes.array,
      descriptors: regions.map { _ in file },
      deadline
    )
  }

  /// Has what is under way noted in memory that we keep, if the back end can do that.
  private mutating func note(
    _ queues: [VirtqueueConfiguration],
    _ count: Int,
    _ inflight: inout VhostUserInflightFile?,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    guard agreement.extensions.contains(.inflight), let size = queues.map(\.size).max() else {
      // What another has noted is of no use to this one.
      guard inflight == nil else { throw .lacks("INFLIGHT_SHMFD, as the one before it") }
      return
    }
    if inflight == nil {
      let wanted = VhostUserInflight(
        size: 0,
        offset: 0,
        queueCount: UInt16(count),
        queueSize: size,
        payloadCount: VhostUserInflight.count
      )
      var reply = try client.exchange(
        .getInflight,
        wanted.bytes,
        count: VhostUserInflight.count,
        descriptors: 1,
        deadline
      )
      inflight = try VhostUserInflightFile(
        &reply,
        count: UInt16(count),
        size: size,
        limit: Self.inflightLimit
      )
    }
    guard let inflight else { return }
    try client.tell(
      .setInflight,
      inflight.description.bytes,
      descriptors: [inflight.rawValue],
      deadline
    )
  }

  private mutating func tellStatus(
    _ status: VirtioStatus,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    guard agreement.extensions.contains(.status) else { return }
    try tell(.setStatus, UInt64(status.rawValue), deadline)
  }

  private mutating func tell(
    _ request: VhostUserRequest,
    _ number: UInt64,
    _ deadline: VhostUserClient.Deadline
  ) throws(VhostUserBackEndError) {
    var bytes = NativeBytes()
    bytes.append(number)
    try client.tell(request, bytes.array, deadline)
  }

  /// An address as the back end is told it.
  private func user(_ address: GuestAddress) -> UInt64 {
    agreement.extensions.contains(.guestAddresses)
      ? address.rawValue : Self.userBase + address.rawValue
  }

  /// The number of a ring, and another.
  private static func ring(_ index: Int, _ number: UInt32) -> [UInt8] {
    var bytes = NativeBytes()
    bytes.append(UInt32(index))
    bytes.append(number)
    return bytes.array
  }
}
