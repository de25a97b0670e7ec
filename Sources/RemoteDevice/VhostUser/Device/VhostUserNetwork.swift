public import Virtio

/// What a network device does beyond other devices when a vhost-user front end drives it.
public protocol VhostUserNetwork: VirtioDevice {
  /// Tells the network that the guest with this hardware address is here now (`VHOST_USER_SEND_RARP`);
  /// called while no ring is served.
  ///
  /// - Parameter address: Six bytes, the first in the lowest bits.
  func announce(_ address: UInt64)
  /// The largest frame that the front end is to have (`VHOST_USER_NET_SET_MTU`), in bytes.
  ///
  /// - Returns: Whether the device can do that.
  func setMTU(_ count: UInt64) -> Bool
}
