import HostOS
import Synchronization

/// What a socket device and the thread of its queues have in common.
final class VsockShared: Sendable {
  let guestCID: UInt64
  let sockets: VsockSockets
  /// Wakes the thread: there is something for the guest.
  let wake: EventFD
  private let wantsReset = Atomic(false)

  init(guestCID: UInt64, _ sockets: VsockSockets) throws(SystemError) {
    self.guestCID = guestCID
    self.sockets = sockets
    wake = try EventFD()
  }

  /// Has the guest told that all its connections are gone.
  func requestReset() {
    wantsReset.store(true, ordering: .releasing)
    wake.signal()
  }

  /// Whether that was asked for; asks once.
  func takeReset() -> Bool { wantsReset.exchange(false, ordering: .acquiringAndReleasing) }
}
