import DeviceModel
import Synchronization

/// What the driver has set with commands, in bytes.
extension NetShared {
  private enum Flag {
    static var announcing: UInt16 { 1 << 8 }
    static var anyUnicast: UInt16 { 1 << 9 }
    static var anyMulticast: UInt16 { 1 << 10 }
    static var anyVLAN: UInt16 { 1 << 11 }
    static var all: UInt16 { 0xF3F }
  }

  var savedState: [UInt8] {
    let state = state.withLock { $0 }
    let filter = state.filter
    var flags: UInt16 = state.isAnnouncing ? Flag.announcing : 0
    if filter.unicast == nil { flags |= Flag.anyUnicast }
    if filter.multicast == nil { flags |= Flag.anyMulticast }
    if filter.vlans == nil { flags |= Flag.anyVLAN }
    let switches = [
      filter.takesAll, filter.takesAllMulticast, filter.takesAllUnicast, filter.takesNoMulticast,
      filter.takesNoUnicast, filter.takesNoBroadcast,
    ]
    for (bit, isOn) in switches.enumerated() where isOn { flags |= 1 << UInt16(bit) }
    var writer = FieldWriter()
    writer.append(flags)
    writer.append(UInt16(state.pairs))
    writer.append(state.offloads.rawValue)
    writer.append(filter.address.rawValue)
    for table in [filter.unicast, filter.multicast] {
      let addresses = (table ?? []).map(\.rawValue).sorted()
      writer.append(UInt16(addresses.count))
      for address in addresses { writer.append(address) }
    }
    let vlans = (filter.vlans ?? []).sorted()
    writer.append(UInt16(vlans.count))
    for vlan in vlans { writer.append(vlan) }
    return writer.bytes
  }

  func restore(_ bytes: [UInt8]) throws(VirtioStateError) {
    var reader = FieldReader(bytes)
    guard let flags = reader.take(UInt16.self), flags & ~Flag.all == 0,
      let count = reader.take(UInt16.self), (1...pairs.count).contains(Int(count)),
      let offloads = reader.take(UInt64.self), let address = reader.take(UInt64.self),
      address >> 48 == 0, let unicast = Self.readTable(&reader),
      let multicast = Self.readTable(&reader), let vlans = Self.readVLANs(&reader),
      reader.count == 0
    else { throw .badDevice("\(bytes.count) bytes are no state of a network interface") }
    var filter = NetFilter(address: MACAddress(address))
    filter.takesAll = flags & 1 != 0
    filter.takesAllMulticast = flags & 2 != 0
    filter.takesAllUnicast = flags & 4 != 0
    filter.takesNoMulticast = flags & 8 != 0
    filter.takesNoUnicast = flags & 16 != 0
    filter.takesNoBroadcast = flags & 32 != 0
    filter.unicast = flags & Flag.anyUnicast == 0 ? unicast : nil
    filter.multicast = flags & Flag.anyMulticast == 0 ? multicast : nil
    filter.vlans = flags & Flag.anyVLAN == 0 ? vlans : nil
    state.withLock { state in
      state.filter = filter
      state.offloads = VirtioFeatures(rawValue: offloads)
      state.pairs = Int(count)
      state.isAnnouncing = flags & Flag.announcing != 0
      // The driver finds what it had set when it goes on.
      state.isSuspended = true
      state.isRestored = true
    }
  }

  private static func readTable(_ reader: inout FieldReader) -> Set<MACAddress>? {
    guard let count = reader.take(UInt16.self), count <= UInt16(NetFilter.tableLimit) else {
      return nil
    }
    var addresses: Set<MACAddress> = []
    for _ in 0..<count {
      guard let address = reader.take(UInt64.self), address >> 48 == 0 else { return nil }
      addresses.insert(MACAddress(address))
    }
    return addresses
  }

  private static func readVLANs(_ reader: inout FieldReader) -> Set<UInt16>? {
    guard let count = reader.take(UInt16.self), count <= 4096 else { return nil }
    var numbers: Set<UInt16> = []
    for _ in 0..<count {
      guard let number = reader.take(UInt16.self), number < 4096 else { return nil }
      numbers.insert(number)
    }
    return numbers
  }
}
