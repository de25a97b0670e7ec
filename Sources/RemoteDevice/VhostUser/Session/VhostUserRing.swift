import HostOS
import Virtio

/// What a front end has said about one ring.
struct VhostUserRing {
  /// The number of entries; 0 until it is set.
  var size: UInt16 = 0
  /// Where its parts are.
  var addresses: VhostUserRingAddresses?
  /// Where to go on; while the ring is served, where it was taken up.
  var base: UInt32?
  /// Rung when there is something to do.
  var kick: EventFD?
  /// Signalled when the ring is broken.
  var error: EventFD?
  /// Whether it may be served.
  var isEnabled = false
  /// Whether it could not be served as it was last set up.
  var isFailed = false

  /// Whether all is there that it takes to serve it.
  var isComplete: Bool { isEnabled && !isFailed && kick != nil && size > 0 && addresses != nil }
}
