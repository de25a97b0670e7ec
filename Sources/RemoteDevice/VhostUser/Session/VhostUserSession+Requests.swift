import HostOS
import Virtio

/// What each request does.
extension VhostUserSession {
  /// Does what a message says.
  func perform(
    _ message: VhostUserMessage,
    _ descriptors: inout DescriptorBatch
  ) throws(VhostUserError) -> VhostUserAnswer {
    switch message {
    case .getFeatures: return .reply(Self.word(offeredFeatures.rawValue))
    case .setFeatures(let bits): try setFeatures(VirtioFeatures(rawValue: bits))
    case .getProtocolFeatures: return .reply(Self.word(offeredProtocolFeatures.rawValue))
    case .setProtocolFeatures(let bits):
      try setProtocolFeatures(VhostUserProtocolFeatures(rawValue: bits))
    // Whoever is connected owns the device.
    case .setOwner: break
    // Once meant to disable all rings, and nothing else.
    case .resetOwner: disableAllRings()
    case .getQueueCount:
      // Of network devices, front ends count the pairs.
      let count = device.device is any VhostUserNetwork ? rings.count / 2 : rings.count
      return .reply(Self.word(UInt64(count)))
    case .resetDevice:
      try need(.resetDevice, for: .resetDevice)
      disableAllRings()
      resetDevice()
    case .setStatus(let value): try setStatus(value)
    case .getStatus:
      try need(.status, for: .getStatus)
      let broken: VirtioStatus = device.needsReset ? .needsReset : []
      return .reply(Self.word(UInt64(status.union(broken).rawValue)))
    case .setMemoryTable, .addMemoryRegion, .removeMemoryRegion, .getMemorySlotCount:
      return try changeMemory(message, &descriptors)
    case .setLogBase, .setLogFD: return try changeLog(message, &descriptors)
    case .setRingSize(let index, let size): try setRingSize(index, size)
    case .setRingAddress(let index, let addresses): try setRingAddress(index, addresses)
    case .setRingBase(let index, let base): try setRingBase(index, base)
    case .getRingBase(let index): return try getRingBase(index)
    case .setRingEnable(let index, let isEnabled): try setRingEnable(index, isEnabled)
    case .setRingKick(let index, _): try setRingKick(index, &descriptors)
    case .setRingCall(let index, _): try setRingCall(index, &descriptors)
    case .setRingError(let index, _): try setRingError(index, &descriptors)
    case .getConfiguration(let offset, let size, let flags):
      try need(.configuration, for: .getConfiguration)
      return .reply(readConfiguration(offset: offset, size: size, flags: flags))
    case .setConfiguration(let offset, let flags, let bytes):
      try need(.configuration, for: .setConfiguration)
      try writeConfiguration(bytes, offset: offset, flags: flags)
    case .setBackendSocket: try setBackendSocket(&descriptors)
    case .translation: throw .notOffered(.translation)
    case .sendRARP, .setMTU: try performNetwork(message)
    case .getInflight, .setInflight: return try changeInflight(message, &descriptors)
    }
    return .done
  }

  /// Checks that an extension was agreed on.
  func need(
    _ feature: VhostUserProtocolFeatures,
    for request: VhostUserRequest
  ) throws(VhostUserError) {
    guard protocolFeatures.contains(feature) else { throw .notOffered(request) }
  }

  private func setFeatures(_ wanted: VirtioFeatures) throws(VhostUserError) {
    guard wanted.isSubset(of: offeredFeatures) else {
      let extra = wanted.subtracting(offeredFeatures)
      throw .refused(.setFeatures, "features \(hex(extra.rawValue)) were not offered")
    }
    let own = wanted.subtracting(.vhost)
    guard own.isEmpty || own.contains(.version1) else {
      throw .refused(
        .setFeatures,
        "features \(hex(wanted.rawValue)) without VIRTIO_F_VERSION_1: legacy drivers are not served"
      )
    }
    guard device.device.accepts(own) else {
      throw .refused(.setFeatures, "features \(hex(wanted.rawValue)) do not go together")
    }
    changeAll {
      features = wanted
      memory = nil
      // Without the extensions there is no request to enable a ring.
      guard !wanted.contains(.protocolFeatures) else { return }
      for index in rings.indices { rings[index].isEnabled = true }
    }
  }

  private func setProtocolFeatures(
    _ wanted: VhostUserProtocolFeatures
  ) throws(VhostUserError) {
    guard wanted.isSubset(of: offeredProtocolFeatures) else {
      let extra = wanted.subtracting(offeredProtocolFeatures)
      throw .refused(.setProtocolFeatures, "features \(hex(extra.rawValue)) were not offered")
    }
    protocolFeatures = wanted
    regions.usesGuestAddresses = wanted.contains(.guestAddresses)
  }

  private func setStatus(_ value: UInt64) throws(VhostUserError) {
    try need(.status, for: .setStatus)
    guard let value = UInt8(exactly: value) else {
      throw .badValue(.setStatus, "a status of \(hex(value))")
    }
    status = VirtioStatus(rawValue: value).subtracting(.needsReset)
    guard value == 0 else { return }
    // Some ask where the rings were only after this: their bases stay.
    for index in rings.indices {
      stopRing(index)
      rings[index].kick = nil
    }
    resetDevice()
  }

  private func disableAllRings() {
    for index in rings.indices {
      stopRing(index)
      rings[index].isEnabled = false
    }
  }

  /// Puts the device back to its first state, but for what the front end has written to the
  /// configuration: that is the front end's, which may ask for a reset only to stop for a while.
  private func resetDevice() {
    status = []
    device.reset()
    for index in rings.indices { rings[index].isFailed = false }
    restoreConfiguration()
  }

  private func performNetwork(_ message: VhostUserMessage) throws(VhostUserError) {
    switch message {
    case .sendRARP(let address):
      guard protocolFeatures.contains(.rarp), let network = device.device as? any VhostUserNetwork
      else { throw .notOffered(.sendRARP) }
      changeAll { network.announce(address & 0xFFFF_FFFF_FFFF) }
    case .setMTU(let count):
      guard protocolFeatures.contains(.mtu), let network = device.device as? any VhostUserNetwork
      else { throw .notOffered(.setMTU) }
      guard network.setMTU(count) else { throw .ignored(.setMTU, "\(count) bytes cannot be had") }
    default: break
    }
  }

  func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
