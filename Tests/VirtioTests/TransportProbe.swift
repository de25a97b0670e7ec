import GuestMemory
import HostOS
import Synchronization
import Virtio

/// A disk with two queues that does nothing by itself: the test acts through its activation.
final class TransportProbe: VirtioDevice {
  private struct State {
    var activation: VirtioActivation?
    var resets = 0
    var queueResets: [Int] = []
    var queueRestarts: [GuestAddress] = []
    var configuration = ConfigurationBytes()
  }

  private let state = Mutex(State())
  let configurationCount: Int

  init(configurationCount: Int = 16) {
    self.configurationCount = configurationCount
    state.withLock { $0.configuration.set(UInt64(0x1122_3344_5566_7788), at: 0) }
  }

  var type: VirtioDeviceType { .block }
  var name: String { "disk0" }
  var features: VirtioFeatures { VirtioFeatures(bit: 5) }
  var queueSizes: [UInt16] { [256, 64] }

  var activation: VirtioActivation? { state.withLock { $0.activation } }
  var resets: Int { state.withLock { $0.resets } }
  var queueResets: [Int] { state.withLock { $0.queueResets } }
  var queueRestarts: [GuestAddress] { state.withLock { $0.queueRestarts } }

  func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { $0.configuration.read(offset: offset, width: width) }
  }

  func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    guard width == 1 else { return }
    state.withLock { $0.configuration.set(UInt8(truncatingIfNeeded: value), at: Int(offset)) }
  }

  func activate(_ activation: VirtioActivation) {
    state.withLock { $0.activation = activation }
  }

  func reset() {
    state.withLock { state in
      state.activation = nil
      state.resets += 1
    }
  }

  func resetQueue(_ index: Int) { state.withLock { $0.queueResets.append(index) } }

  func restartQueue(_ queue: VirtqueueConfiguration) {
    state.withLock { $0.queueRestarts.append(queue.descriptorTable) }
  }
}
