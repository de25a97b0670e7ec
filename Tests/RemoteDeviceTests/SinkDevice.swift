import GuestMemory
import Virtio

/// A device of any kind, which gives back every chain as it came.
final class SinkDevice: VirtioDevice {
  let type: VirtioDeviceType
  let name = "sink"
  let features: VirtioFeatures
  let queueSizes: [UInt16]
  let configurationCount: Int
  private let workers: QueueWorkers

  init(
    _ type: UInt16,
    features: UInt64 = 0,
    queueCount: Int,
    configurationCount: Int = 0
  ) {
    self.type = VirtioDeviceType(rawValue: type)
    self.features = VirtioFeatures(rawValue: features)
    queueSizes = Array(repeating: 256, count: queueCount)
    self.configurationCount = configurationCount
    workers = QueueWorkers(name, groups: [Array(0..<queueCount)])
  }

  func readConfiguration(offset: UInt64, width: Int) -> UInt64 { 0 }

  func activate(_ activation: VirtioActivation) throws {
    try workers.start(activation) { _ in SinkService(activation.memory) }
  }

  func reset() { workers.stop() }

  func resetQueue(_ index: Int) { workers.stopQueue(index) }

  func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}

private final class SinkService: QueueService {
  private var chain: DescriptorChain

  init(_ memory: GuestMemory) { chain = DescriptorChain(in: memory) }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    while try queue.pop(into: &chain) { queue.complete(chain, written: 0) }
    return .drained
  }
}
