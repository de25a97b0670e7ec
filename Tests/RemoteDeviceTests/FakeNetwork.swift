import RemoteDevice
import Synchronization
import Virtio

/// Keeps what it is told.
final class FakeNetwork: VhostUserNetwork {
  private let words = Mutex<[String]>([])
  private let sink = SinkDevice(1, queueCount: 2)

  var heard: [String] { words.withLock { $0 } }

  func announce(_ address: UInt64) {
    words.withLock { $0.append("announce \(String(address, radix: 16))") }
  }

  func setMTU(_ count: UInt64) -> Bool {
    words.withLock { $0.append("mtu \(count)") }
    return count <= 65535
  }

  var type: VirtioDeviceType { sink.type }
  var name: String { "network" }
  var features: VirtioFeatures { [] }
  var queueSizes: [UInt16] { sink.queueSizes }
  var configurationCount: Int { 0 }
  func readConfiguration(offset: UInt64, width: Int) -> UInt64 { 0 }
  func activate(_ activation: VirtioActivation) throws { try sink.activate(activation) }
  func reset() { sink.reset() }
  func resetQueue(_ index: Int) { sink.resetQueue(index) }
  func restartQueue(_ queue: VirtqueueConfiguration) throws { try sink.restartQueue(queue) }
}
