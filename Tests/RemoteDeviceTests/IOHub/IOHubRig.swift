import HostOS
import RemoteDevice

/// A hub that a test turns by hand, with both eventfds at its pin 0.
final class IOHubRig: Sendable {
  let hub: IOHub
  let trigger: EventFD
  let resample: EventFD

  init(_ policy: IOHub.Policy, pinCount: Int = 1) throws {
    hub = try IOHub(pinCount: pinCount, policy: policy, withoutThread: ())
    trigger = try EventFD()
    resample = try EventFD()
    try hub.connect(0, trigger: trigger, resample: resample)
  }

  /// Ends an interrupt, as the peer's kernel does.
  func end() {
    resample.signal()
    hub.turn()
  }
}
