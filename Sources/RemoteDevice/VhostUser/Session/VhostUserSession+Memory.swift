import GuestMemory
import HostOS
import Virtio

/// Memory, and the log of what was written to it.
extension VhostUserSession {
  func changeMemory(
    _ message: VhostUserMessage,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) -> VhostUserAnswer {
    var changed = regions
    switch message {
    case .setMemoryTable(let table):
      changed.removeAll()
      for region in table { try add(region, to: &changed, &descriptors, .setMemoryTable) }
    case .addMemoryRegion(let region):
      try need(.memorySlots, for: .addMemoryRegion)
      try add(region, to: &changed, &descriptors, .addMemoryRegion)
    case .removeMemoryRegion(let region):
      try need(.memorySlots, for: .removeMemoryRegion)
      try changed.remove(region, for: .removeMemoryRegion)
    default:
      try need(.memorySlots, for: .getMemorySlotCount)
      return .reply(Self.word(UInt64(VhostUserMemory.slotLimit)))
    }
    changeAll {
      regions = changed
      memory = nil
      for index in rings.indices { rings[index].isFailed = false }
    }
    return .done
  }

  func changeLog(
    _ message: VhostUserMessage,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) -> VhostUserAnswer {
    guard let descriptor = descriptors.takeFirst() else { return .done }
    guard case .setLogBase(let size, let offset) = message else {
      let kind = try kind(of: descriptor)
      guard kind == .anonymous else {
        throw .wrongDescriptor(.setLogFD, kind, expected: "an eventfd")
      }
      device.interrupts.setLog(EventFD(adopting: descriptor))
      return .done
    }
    try need(.sharedLog, for: .setLogBase)
    let mapping = try map(descriptor, offset: offset, count: size, for: .setLogBase)
    changeAll {
      logMapping = mapping
      memory = nil
    }
    return .reply(Self.word(0))
  }

  /// The front end's memory for the device, which notes its writes if they are to be noted.
  func currentMemory() throws(VhostUserError) -> GuestMemory {
    if let memory { return memory }
    var log: DirtyLog?
    if features.contains(.logAll), let logMapping {
      log = DirtyLog(logMapping, aliases: try logAliases(DirtyLog(logMapping)))
    }
    let made = regions.makeGuestMemory(log: log)
    memory = made
    return made
  }

  /// The used rings whose writes are noted elsewhere than where they are.
  private func logAliases(_ log: DirtyLog) throws(VhostUserError) -> [DirtyLog.Alias] {
    var aliases: [DirtyLog.Alias] = []
    for (index, ring) in rings.enumerated() {
      guard let addresses = ring.addresses, ring.size > 0,
        addresses.flags & VhostUserRingAddresses.logFlag != 0
      else { continue }
      let count: UInt64 = features.contains(.packedRing) ? 4 : 6 + 8 * UInt64(ring.size)
      let start = try regions.translate(addresses.used, count: 1, .used, of: index)
      let target = GuestAddress(addresses.log)
      guard log.covers(target, count: count) else {
        throw .badValue(.setRingAddress, "the log has no bit for ring \(index) at \(target)")
      }
      guard target != start else { continue }
      aliases.append(DirtyLog.Alias(start: start, count: count, target: target))
    }
    return aliases
  }

  private func add(
    _ region: VhostUserRegion,
    to regions: inout VhostUserMemory,
    _ descriptors: inout DescriptorBatch,
    _ request: VhostUserRequest
  ) throws(VhostUserError) {
    guard let descriptor = descriptors.takeFirst() else {
      throw .wrongDescriptorCount(request, 0, expected: 1)
    }
    try regions.add(region, descriptor, for: request)
  }

  /// Maps a file that came with a request.
  func map(
    _ descriptor: borrowing OwnedFileDescriptor,
    offset: UInt64,
    count: UInt64,
    for request: VhostUserRequest
  ) throws(VhostUserError) -> SharedMapping {
    do throws(SharedMappingError) {
      return try SharedMapping(of: descriptor, offset: offset, count: count, fault: wake)
    } catch {
      switch error {
      case .notMemory(let kind): throw .wrongDescriptor(request, kind, expected: "a memory file")
      case .tooShort, .unreliable: throw .badValue(request, "\(error)")
      case .host: throw .refused(request, "\(error)")
      }
    }
  }

  /// What a descriptor that came stands for.
  func kind(
    of descriptor: borrowing OwnedFileDescriptor
  ) throws(VhostUserError) -> DescriptorKind {
    do throws(SystemError) {
      return try DescriptorKind(of: descriptor.rawValue)
    } catch {
      throw .host(error)
    }
  }
}
