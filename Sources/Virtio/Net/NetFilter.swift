/// Which received frames the driver wants (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3).
struct NetFilter: Equatable, Sendable {
  /// The most addresses of each kind that are kept: with more, all of the kind are taken.
  static var tableLimit: Int { 64 }
  /// The bytes of a frame that a decision takes: the addresses, the type, and a VLAN's tag.
  static var prefixSize: Int { 18 }

  /// The device's own address.
  var address: MACAddress
  /// `VIRTIO_NET_CTRL_RX_PROMISC`; so that a driver which knows no commands gets everything, at first.
  var takesAll = true
  /// `VIRTIO_NET_CTRL_RX_ALLMULTI`.
  var takesAllMulticast = false
  /// `VIRTIO_NET_CTRL_RX_ALLUNI`.
  var takesAllUnicast = false
  /// `VIRTIO_NET_CTRL_RX_NOMULTI`.
  var takesNoMulticast = false
  /// `VIRTIO_NET_CTRL_RX_NOUNI`.
  var takesNoUnicast = false
  /// `VIRTIO_NET_CTRL_RX_NOBCAST`.
  var takesNoBroadcast = false
  /// `VIRTIO_NET_CTRL_MAC_TABLE_SET`; `nil` where there were too many.
  var unicast: Set<MACAddress>? = []
  var multicast: Set<MACAddress>? = []
  /// The VLANs that are taken, by number; `nil` takes all, as without `VIRTIO_NET_F_CTRL_VLAN`.
  var vlans: Set<UInt16>?

  /// Whether a frame that begins with the first `count` of `bytes` is wanted.
  func accepts(_ bytes: [UInt8], count: Int) -> Bool {
    if takesAll { return true }
    // What is too short for an address is for nobody.
    guard count >= NetHeader.ethernetSize else { return false }
    if let vlans, count >= Self.prefixSize, bytes[12] == 0x81, bytes[13] == 0 {
      guard vlans.contains((UInt16(bytes[14]) << 8 | UInt16(bytes[15])) & 0xFFF) else {
        return false
      }
    }
    let target = MACAddress(bytes)
    if target == .broadcast { return !takesNoBroadcast }
    if target.isMulticast {
      return !takesNoMulticast && (takesAllMulticast || multicast?.contains(target) ?? true)
    }
    if takesNoUnicast { return false }
    return takesAllUnicast || target == address || unicast?.contains(target) ?? true
  }
}
