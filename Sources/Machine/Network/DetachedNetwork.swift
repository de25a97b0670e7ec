import GuestMemory
import HostOS
import Virtio

/// The network of a machine that is only described.
final class DetachedNetwork: NetBackend {
  let label = "none"
  let queuePairCount: Int

  init(queuePairCount: Int) { self.queuePairCount = queuePairCount }

  var features: VirtioFeatures { [] }
  var mtu: UInt16? { nil }
  var isConnected: Bool { false }
  func makePort(_ pair: Int) -> any NetPort { Port() }
  func setGuestOffloads(_ features: VirtioFeatures) {}
  func setActivePairs(_ count: Int) {}

  private final class Port: NetPort {
    let hasHeader = false
    let isConnected = false

    func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived {
      .ended("there is none")
    }
    func send(_ frame: inout GuestIOVector) -> NetSent { .dropped(nil) }
  }
}
