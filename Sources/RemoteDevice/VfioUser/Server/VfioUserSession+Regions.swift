import DeviceModel
import Glibc
import GuestMemory
import HostOS
import PCI

/// The regions: BARs, and the configuration.
extension VfioUserSession {
  func describeRegion(_ info: VfioUserRegionInfo) throws(VfioUserFailure) -> Answer {
    guard info.argumentSize >= VfioUserRegionInfo.count, info.index < VfioUserRegion.count else {
      throw .refusal(
        EINVAL,
        "DEVICE_GET_REGION_INFO: region \(info.index) of \(VfioUserRegion.count), argsz \(info.argumentSize)"
      )
    }
    let size = size(of: info.index)
    var reply = VfioUserRegionInfo(
      index: info.index,
      flags: size > 0 ? VfioUserRegionInfo.readFlag | VfioUserRegionInfo.writeFlag : 0,
      size: size
    )
    // What is no memory is reached by message: registers that do something.
    guard let memory = function.memory(ofBAR: Int(info.index)),
      let file = memory.memory.file.borrow({ $0.rawValue })
    else { return Answer(reply: .regionInfo(reply)) }
    let isWhole = memory.areas == [0..<size]
    let areas =
      isWhole
      ? []
      : memory.areas.map {
        VfioUserRegionInfo.Area(offset: $0.lowerBound, size: UInt64($0.count))
      }
    let count = VfioUserRegionInfo.count(areas: areas.count)
    reply.argumentSize = UInt32(count)
    guard Int(info.argumentSize) >= count else {
      // Who has no room for all of it is told how much it takes, and asks again.
      reply.flags |= VfioUserRegionInfo.capabilityFlag
      return Answer(reply: .regionInfo(reply))
    }
    reply = VfioUserRegionInfo(
      index: info.index,
      argumentSize: UInt32(count),
      flags: reply.flags | VfioUserRegionInfo.mapFlag,
      size: size,
      areas: areas
    )
    return Answer(reply: .regionInfo(reply), descriptors: [file])
  }

  /// The doorbells of a BAR, as many as the client takes descriptors; the others are reached by message.
  func describeDoorbells(
    _ question: VfioUserRegionIOFDs,
    limit: UInt64
  ) throws(VfioUserFailure) -> Answer {
    guard question.argumentSize >= VfioUserRegionIOFDs.count, question.flags == 0,
      question.index < VfioUserRegion.count
    else {
      throw .refusal(
        EINVAL,
        "DEVICE_GET_REGION_IO_FDS: region \(question.index), flags \(question.flags), argsz \(question.argumentSize)"
      )
    }
    let most = min(Int(clamping: limit), DescriptorBatch.capacity)
    let entries = (function.doorbells?.entries(in: Int(question.index)) ?? []).prefix(most)
    let size = VfioUserRegionIOFDs.count(parts: entries.count)
    var reply = VfioUserRegionIOFDs(
      argumentSize: UInt32(size),
      index: question.index,
      partCount: UInt32(entries.count)
    )
    guard Int(question.argumentSize) >= size else { return Answer(reply: .regionIOFDs(reply)) }
    reply.parts = entries.enumerated().map { number, entry in
      VfioUserRegionIOFDs.Part(
        offset: entry.doorbell.address,
        size: UInt64(entry.doorbell.width),
        descriptor: UInt32(number),
        flags: entry.doorbell.value == nil ? 0 : VfioUserRegionIOFDs.Part.dataMatchFlag,
        dataMatch: entry.doorbell.value ?? 0
      )
    }
    return Answer(reply: .regionIOFDs(reply), descriptors: entries.map { $0.event.share() })
  }

  func readRegion(_ access: VfioUserRegionAccess) throws(VfioUserFailure) -> Answer {
    try check(access, .readRegion)
    var data: [UInt8] = []
    data.reserveCapacity(Int(access.count))
    for piece in Self.pieces(of: access) {
      let value =
        access.region == VfioUserRegion.configuration
        ? function.readConfiguration(Int(piece.offset), width: piece.width)
        : function.read(piece)
      for index in 0..<piece.width {
        data.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
      }
    }
    return Answer(reply: .region(access, data))
  }

  func writeRegion(
    _ access: VfioUserRegionAccess,
    _ data: ArraySlice<UInt8>,
    _ command: VfioUserCommand
  ) throws(VfioUserFailure) {
    try check(access, command)
    var rest = data
    for piece in Self.pieces(of: access) {
      var value: UInt64 = 0
      for (index, byte) in rest.prefix(piece.width).enumerated() {
        value |= UInt64(byte) << UInt64(8 * index)
      }
      rest = rest.dropFirst(piece.width)
      if access.region == VfioUserRegion.configuration {
        function.writeConfiguration(value, Int(piece.offset), width: piece.width)
      } else {
        // A driver's reset waits for the device's threads.
        function.write(value, piece)
      }
    }
  }

  /// The length of a region in bytes; 0 for one that the function does not have.
  private func size(of region: UInt32) -> UInt64 {
    if region == VfioUserRegion.configuration { return configurationSize }
    return function.bar(Int(region))?.size ?? 0
  }

  /// 256 bytes, or all if there is an extended capability (PCIe 4.0, 7.2).
  private var configurationSize: UInt64 {
    function.readConfiguration(0x100, width: 4) == 0 ? 0x100 : UInt64(PCIConfigurationSpace.size)
  }

  private func check(
    _ access: VfioUserRegionAccess,
    _ command: VfioUserCommand
  ) throws(VfioUserFailure) {
    let size = size(of: access.region)
    guard access.count > 0, access.offset < size, UInt64(access.count) <= size - access.offset
    else {
      throw .refusal(
        EINVAL,
        "\(command): \(access.count) bytes at 0x\(String(access.offset, radix: 16)) of region "
          + "\(access.region), which has 0x\(String(size, radix: 16))"
      )
    }
    // A register may have the device do something.
    guard migration.state == .running || access.region == VfioUserRegion.configuration else {
      throw .refusal(EBUSY, "\(command): region \(access.region) while in \(migration.state)")
    }
  }

  /// What a guest's instruction may do is one access; the rest is as many as it takes.
  private static func pieces(of access: VfioUserRegionAccess) -> [BusAccess] {
    let region = Int(access.region)
    if [1, 2, 4, 8].contains(access.count) {
      return [BusAccess(region: region, offset: access.offset, width: Int(access.count))]
    }
    var pieces: [BusAccess] = []
    var (offset, left) = (access.offset, UInt64(access.count))
    while left > 0 {
      var width: UInt64 = 4
      while width > left || offset % width != 0 { width /= 2 }
      pieces.append(BusAccess(region: region, offset: offset, width: Int(width)))
      offset += width
      left -= width
    }
    return pieces
  }
}
