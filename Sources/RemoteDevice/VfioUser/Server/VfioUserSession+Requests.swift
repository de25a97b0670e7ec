import Glibc
import GuestMemory
import HostOS

/// What is done for each request but those for regions and interrupts.
extension VfioUserSession {
  func perform(
    _ request: VfioUserRequest,
    _ descriptors: inout DescriptorBatch
  ) throws(VfioUserFailure) -> Answer {
    if case .version(let version) = request { return try greet(version) }
    guard let capabilities else { throw .badValue(request.command, "before any greeting") }
    switch request {
    case .mapDMA(let map, _): return try mapMemory(map, descriptors.takeFirst())
    case .unmapDMA(let unmap): return try unmapMemory(unmap)
    case .getInfo(let info): return try describeDevice(info)
    case .getRegionInfo(let info): return try describeRegion(info)
    case .getRegionIOFDs(let question):
      return try describeDoorbells(question, limit: capabilities.descriptorLimit)
    case .getInterruptInfo(let info): return try describeInterrupts(info)
    case .setInterrupts(let set, let hasDescriptors):
      let use: ReceivedEventFD.Use = set.action == .trigger ? .trigger : .resample
      return try setInterrupts(set, hasDescriptors ? takeEvents(&descriptors, as: use) : nil)
    case .readRegion(let access): return try readRegion(access)
    case .writeRegion(let access, let data):
      try writeRegion(access, data[...], .writeRegion)
      return Answer(reply: .wroteRegion(access))
    case .writeRegions(let writes):
      guard writes.count <= Self.writeLimit else {
        throw .refusal(
          EINVAL,
          "\(request.command): \(writes.count) writes, not \(Self.writeLimit) at most"
        )
      }
      for write in writes {
        try writeRegion(write.access, write.data.prefix(Int(write.access.count)), .writeRegions)
      }
      return Answer(reply: .wroteRegions(UInt64(writes.count)))
    case .reset:
      function.reset()
      endMigration()
      return Answer(reply: .done)
    case .feature(let feature): return try handle(feature)
    case .readMigrationData(let question): return try readMigrationData(question)
    case .writeMigrationData(let part): return try writeMigrationData(part)
    case .readDMA, .writeDMA, .version:
      throw .refusal(ENOTSUP, "\(request.command) is not offered")
    }
  }

  // MARK: Memory

  private func mapMemory(
    _ map: VfioUserDMAMap,
    _ descriptor: consuming OwnedFileDescriptor?
  ) throws(VfioUserFailure) -> Answer {
    let access = HostedRange.Access(rawValue: map.flags)
    guard access.isSubset(of: [.read, .write]), !access.isEmpty else {
      throw .badValue(.mapDMA, "flags 0x\(String(map.flags, radix: 16))")
    }
    do throws(HostedMemoryError) {
      try memory.map(
        map.address,
        size: map.size,
        access: access,
        descriptor,
        offset: map.offset
      )
    } catch {
      throw VfioUserFailure(.mapDMA, error)
    }
    useMemory()
    return Answer(reply: .done)
  }

  private func unmapMemory(_ unmap: VfioUserDMAUnmap) throws(VfioUserFailure) -> Answer {
    switch unmap.flags {
    case 0:
      do throws(HostedMemoryError) {
        try memory.unmap(unmap.address, size: unmap.size)
      } catch {
        throw VfioUserFailure(.unmapDMA, error)
      }
    case VfioUserDMAUnmap.allFlag: memory.removeAll()
    default:
      throw .refusal(EINVAL, "DMA_UNMAP: flags 0x\(String(unmap.flags, radix: 16))")
    }
    useMemory()
    return Answer(reply: .unmappedDMA(unmap))
  }

  private func useMemory() { function.use(memory, peer: connection) }

  // MARK: The device

  private func describeDevice(_ info: VfioUserDeviceInfo) throws(VfioUserFailure) -> Answer {
    guard info.argumentSize >= VfioUserDeviceInfo.count else {
      throw .refusal(EINVAL, "DEVICE_GET_INFO: argsz \(info.argumentSize)")
    }
    return Answer(
      reply: .info(
        VfioUserDeviceInfo(
          flags: VfioUserDeviceInfo.resetFlag | VfioUserDeviceInfo.pciFlag,
          regionCount: VfioUserRegion.count,
          interruptCount: VfioUserInterrupt.count
        )
      )
    )
  }
}
