import GuestMemory
import HostOS

/// Obeys the commands of the control queue, on that queue's thread (virtio 1.2, 5.1.6.5).
struct NetControl: ~Copyable {
  /// `class` of a command.
  private enum Class: UInt8 {
    case receive = 0
    case address = 1
    case vlan = 2
    case announcement = 3
    case queues = 4
    case offloads = 5
  }

  // VIRTIO_NET_OK and VIRTIO_NET_ERR.
  private static var ok: UInt8 { 0 }
  private static var error: UInt8 { 1 }
  // Between two looks at requests of other threads.
  private static var batch: Int { 16 }

  private let shared: NetShared
  private let features: VirtioFeatures
  private let log: LimitedLog
  private let signals: VirtioSignals
  private var chain: DescriptorChain

  init(_ shared: NetShared, _ activation: VirtioActivation) {
    self.shared = shared
    features = activation.features
    log = activation.signals.log
    signals = activation.signals
    chain = DescriptorChain(in: activation.memory)
  }

  /// Obeys some of the commands that the driver has made available.
  mutating func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      guard try queue.pop(into: &chain) else { return .drained }
      guard chain.writableCount > 0 else {
        throw .unanswerable(head: chain.head, "has no room for the status of a network command")
      }
      let count = chain.readableCount
      let answer = obey()
      if let answer {
        log.warning("network command of \(count) bytes refused: \(answer)")
      }
      // Whoever takes over must not find the command done and its effect gone.
      if answer == nil { signals.stateChanged() }
      chain.write(answer == nil ? Self.ok : Self.error)
      queue.complete(chain, written: 1)
    }
    return .busy
  }

  /// Does what the chain asks for; returns why not.
  private mutating func obey() -> String? {
    guard let number = chain.readWord(UInt8.self), let command = chain.readWord(UInt8.self) else {
      return "it has no class and command"
    }
    guard let kind = Class(rawValue: number) else { return "class \(number) is none" }
    switch (kind, command) {
    // VIRTIO_NET_CTRL_RX_PROMISC to _NOBCAST (5.1.6.5.1).
    case (.receive, 0...5) where features.contains(.netControlReceive): return receive(command)
    // VIRTIO_NET_CTRL_MAC_TABLE_SET (5.1.6.5.2).
    case (.address, 0) where features.contains(.netControlReceive): return setTable()
    // VIRTIO_NET_CTRL_MAC_ADDR_SET (5.1.6.5.2).
    case (.address, 1) where features.contains(.netControlMAC): return setAddress()
    // VIRTIO_NET_CTRL_VLAN_ADD and _DEL (5.1.6.5.3).
    case (.vlan, 0...1) where features.contains(.netControlVLAN):
      return setVLAN(isTaken: command == 0)
    // VIRTIO_NET_CTRL_ANNOUNCE_ACK (5.1.6.5.4).
    case (.announcement, 0) where features.contains(.netGuestAnnounce):
      return shared.acknowledgeAnnouncement() ? nil : "no announcement was asked for"
    // VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET (5.1.6.5.5).
    case (.queues, 0) where features.contains(.netMultiQueue): return setPairs()
    // VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET (5.1.6.5.6).
    case (.offloads, 0) where features.contains(.netControlOffloads): return setOffloads()
    default: return "class \(number) has no command \(command) that was agreed on"
    }
  }

  private mutating func receive(_ command: UInt8) -> String? {
    guard let value = chain.readWord(UInt8.self) else { return "it says neither on nor off" }
    let isOn = value != 0
    shared.changeFilter { filter in
      switch command {
      case 0: filter.takesAll = isOn
      case 1: filter.takesAllMulticast = isOn
      case 2: filter.takesAllUnicast = isOn
      case 3: filter.takesNoMulticast = isOn
      case 4: filter.takesNoUnicast = isOn
      default: filter.takesNoBroadcast = isOn
      }
    }
    return nil
  }

  private mutating func setTable() -> String? {
    guard let unicast = readTable(), let multicast = readTable() else {
      return "its tables of addresses are cut short"
    }
    shared.changeFilter { filter in
      filter.unicast = unicast.addresses
      filter.multicast = multicast.addresses
    }
    return nil
  }

  /// A table of addresses; none where there are too many to keep.
  private struct Table {
    var addresses: Set<MACAddress>?
  }

  /// Reads the number of addresses and the addresses.
  private mutating func readTable() -> Table? {
    guard let count = chain.readWord(UInt32.self) else { return nil }
    let size = UInt64(count) * UInt64(MACAddress.size)
    guard size <= chain.readableCount else { return nil }
    guard count <= UInt32(NetFilter.tableLimit) else {
      // 5.1.6.5.2: given too many, a device may take all.
      chain.skipReadable(size)
      return Table(addresses: nil)
    }
    var addresses: Set<MACAddress> = []
    for _ in 0..<count {
      guard let address = readAddress() else { return nil }
      addresses.insert(address)
    }
    return Table(addresses: addresses)
  }

  private mutating func readAddress() -> MACAddress? {
    var bytes = [UInt8](repeating: 0, count: MACAddress.size)
    return chain.read(into: &bytes) == bytes.count ? MACAddress(bytes) : nil
  }

  private mutating func setAddress() -> String? {
    guard let address = readAddress() else { return "its address is cut short" }
    shared.changeFilter { $0.address = address }
    return nil
  }

  private mutating func setVLAN(isTaken: Bool) -> String? {
    guard let number = chain.readWord(UInt16.self) else { return "its VLAN is cut short" }
    guard number < 4096 else { return "VLAN \(number) is none" }
    shared.changeFilter { filter in
      if isTaken { filter.vlans?.insert(number) } else { filter.vlans?.remove(number) }
    }
    return nil
  }

  private mutating func setPairs() -> String? {
    guard let count = chain.readWord(UInt16.self) else { return "its number is cut short" }
    guard (1...shared.pairs.count).contains(Int(count)) else {
      return "\(count) pairs of queues of \(shared.pairs.count)"
    }
    do throws(SystemError) {
      try shared.setActivePairs(Int(count))
      return nil
    } catch {
      return "\(error)"
    }
  }

  private mutating func setOffloads() -> String? {
    guard let bits = chain.readWord(UInt64.self) else { return "its offloads are cut short" }
    let wanted = VirtioFeatures(rawValue: bits)
    let agreed = features.intersection(.netGuestOffloads)
    guard wanted.isSubset(of: agreed), wanted.areNetFeaturesComplete else {
      return "offloads 0x\(String(bits, radix: 16)) of 0x\(String(agreed.rawValue, radix: 16))"
    }
    do throws(SystemError) {
      try shared.setGuestOffloads(wanted)
      return nil
    } catch {
      return "\(error)"
    }
  }
}
