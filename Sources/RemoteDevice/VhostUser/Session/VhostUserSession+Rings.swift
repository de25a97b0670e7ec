import GuestMemory
import HostOS
import Logging
import Virtio

/// Rings: what is said about them, and when they are served.
extension VhostUserSession {
  // How often a ring without kicks is looked at, in nanoseconds.
  private static var pollingInterval: UInt64 { 100_000 }

  func setRingSize(_ index: Int, _ size: UInt32) throws(VhostUserError) {
    try check(index, .setRingSize)
    guard let size = UInt16(exactly: size), size <= VirtqueueConfiguration.maximumSize, size > 0
    else { throw .ignored(.setRingSize, "ring \(index) of \(size) entries") }
    change(index) { $0.size = size }
  }

  func setRingAddress(
    _ index: Int,
    _ addresses: VhostUserRingAddresses
  ) throws(VhostUserError) {
    try check(index, .setRingAddress)
    guard addresses.flags & ~VhostUserRingAddresses.logFlag == 0 else {
      throw .badValue(.setRingAddress, "flags \(hex(UInt64(addresses.flags)))")
    }
    if features.contains(.logAll) {
      // As what a ring's writes are noted is the memory's affair, which all rings share.
      changeAll {
        memory = nil
        rings[index].addresses = addresses
        rings[index].isFailed = false
      }
    } else {
      change(index) { $0.addresses = addresses }
    }
    if rings[index].isFailed { throw .ignored(.setRingAddress, "ring \(index) cannot be served") }
  }

  func setRingBase(_ index: Int, _ base: UInt32) throws(VhostUserError) {
    try check(index, .setRingBase)
    change(index) { $0.base = base }
  }

  func getRingBase(_ index: Int) throws(VhostUserError) -> VhostUserAnswer {
    try check(index, .getRingBase)
    stopRing(index)
    // It begins anew with the next kick descriptor.
    rings[index].kick = nil
    rings[index].isFailed = false
    var bytes = NativeBytes()
    bytes.append(UInt32(index))
    bytes.append(rings[index].base ?? 0)
    return .reply(bytes.array)
  }

  func setRingEnable(_ index: Int, _ isEnabled: Bool) throws(VhostUserError) {
    try check(index, .setRingEnable)
    guard rings[index].isEnabled != isEnabled else { return }
    change(index) { $0.isEnabled = isEnabled }
    if rings[index].isFailed { throw .ignored(.setRingEnable, "ring \(index) cannot be served") }
  }

  func setRingKick(
    _ index: Int,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) {
    try check(index, .setRingKick)
    var kick = try event(&descriptors, .setRingKick)
    // What is readable and cannot be read would keep its thread busy for ever.
    if let kick, !kick.canBeDrained {
      throw .badValue(.setRingKick, "a descriptor that is no eventfd")
    }
    if kick == nil { kick = try Self.ticking() }
    change(index) { $0.kick = kick }
    if rings[index].isFailed { throw .ignored(.setRingKick, "ring \(index) cannot be served") }
  }

  /// What stands in for the kicks of a ring that has none.
  private static func ticking() throws(VhostUserError) -> EventFD {
    do throws(SystemError) {
      return try EventFD(tickingEvery: pollingInterval)
    } catch {
      throw .host(error)
    }
  }

  func setRingCall(
    _ index: Int,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) {
    try check(index, .setRingCall)
    let call = try event(&descriptors, .setRingCall)
    device.interrupts.setCall(call, of: index)
    // What was used before may have been told to nobody, if it was by another process that is gone.
    if device.isRunning(index) { call?.signal() }
  }

  func setRingError(
    _ index: Int,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) {
    try check(index, .setRingError)
    rings[index].error = try event(&descriptors, .setRingError)
  }

  /// Ends what is under way on a ring, notes where it stands, and serves it no more.
  func stopRing(_ index: Int) {
    guard let queue = device.stop(index) else { return }
    rings[index].base = queue.ringBase
  }

  /// Stops all rings for a change that concerns them, and serves those again that can be.
  func changeAll(_ body: () -> Void) {
    for queue in device.stopAll() { rings[queue.index].base = queue.ringBase }
    body()
    for index in rings.indices { startRing(index) }
  }

  /// Stops a ring for a change, and serves it again if that can be.
  private func change(_ index: Int, _ body: (inout VhostUserRing) -> Void) {
    stopRing(index)
    rings[index].isFailed = false
    body(&rings[index])
    startRing(index)
  }

  /// Serves a ring, if all is there that it takes.
  ///
  /// What is wrong with it may be the guest's fault, so it ends no connection: the log says it, and
  /// the front end is told by the ring's error eventfd.
  private func startRing(_ index: Int) {
    guard rings[index].isComplete, !device.isRunning(index), features.contains(.version1) else {
      return
    }
    do throws(VhostUserError) {
      let memory = try currentMemory()
      let queue = try configuration(of: index, in: memory)
      try device.start(queue, in: memory)
      device.interrupts.signalQueue(index)
      logger.debug("\(device.device.name): ring \(index) of \(queue.size) is served")
    } catch {
      rings[index].isFailed = true
      log.warning("\(error)")
      rings[index].error?.signal()
    }
  }

  /// The ring as the device is to see it, checked.
  private func configuration(
    of index: Int,
    in memory: GuestMemory
  ) throws(VhostUserError) -> VirtqueueConfiguration {
    let ring = rings[index]
    guard let addresses = ring.addresses, let kick = ring.kick else {
      throw .refused(.setRingEnable, "ring \(index) is not complete")
    }
    let size = UInt64(ring.size)
    let isPacked = features.contains(.packedRing)
    var queue = VirtqueueConfiguration(
      index: index,
      size: ring.size,
      descriptorTable: try regions.translate(
        addresses.descriptors,
        count: 16 * size,
        .descriptors,
        of: index
      ),
      availableRing: try regions.translate(
        addresses.available,
        count: isPacked ? 4 : 4 + 2 * size,
        .available,
        of: index
      ),
      usedRing: try regions.translate(
        addresses.used,
        count: isPacked ? 4 : 4 + 8 * size,
        .used,
        of: index
      ),
      features: features.subtracting(.vhost),
      kick: kick
    )
    queue.inflight = inflightRegion(of: index)
    do throws(VirtqueueError) {
      if let base = ring.base { try queue.setRingBase(base, in: memory) }
      try queue.check(in: memory)
    } catch {
      throw .badRing(index, error)
    }
    return queue
  }

  private func check(_ index: Int, _ request: VhostUserRequest) throws(VhostUserError) {
    guard rings.indices.contains(index) else {
      throw .noSuchRing(request, index, count: rings.count)
    }
  }

  /// The eventfd that came with a request, if one did.
  private func event(
    _ descriptors: inout DescriptorBatch,
    _ request: VhostUserRequest
  ) throws(VhostUserError) -> EventFD? {
    guard let descriptor = descriptors.takeFirst() else { return nil }
    let kind = try kind(of: descriptor)
    guard kind == .anonymous else {
      throw .wrongDescriptor(request, kind, expected: "an eventfd")
    }
    return EventFD(adopting: descriptor)
  }
}
