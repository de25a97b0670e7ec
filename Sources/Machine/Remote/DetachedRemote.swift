import RemoteDevice
import Virtio

/// A device of another process, in a machine that is only described: nobody is connected to.
final class DetachedRemote: VirtioDevice {
  let type: VirtioDeviceType
  let name: String

  init(_ kind: VhostUserKind, _ index: Int) {
    type = kind.type
    name = RemoteLink.name(index)
  }

  var features: VirtioFeatures { [] }
  // How many there are is the other process's to say.
  var queueSizes: [UInt16] { [128] }
  var configurationCount: Int { 0 }

  func readConfiguration(offset: UInt64, width: Int) -> UInt64 { 0 }
  func activate(_ activation: VirtioActivation) {}
  func reset() {}
  func resetQueue(_ index: Int) {}
  func restartQueue(_ queue: VirtqueueConfiguration) {}
}
