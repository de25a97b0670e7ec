import GuestMemory
import Synchronization
import Virtio

/// A device for tests: it sends each chain's readable bytes back, on any number of queues.
final class EchoDevice: VirtioDevice {
  static let oddFeature = VirtioFeatures(bit: 3)
  static let evenFeature = VirtioFeatures(bit: 4)

  let queueSizes: [UInt16]
  let activations = Atomic(0)
  let resets = Atomic(0)
  private let workers: QueueWorkers
  private let state = Mutex(State())

  private struct State {
    var signals: VirtioSignals?
    var features: VirtioFeatures = []
    var written: [UInt64] = []
  }

  /// Serves queues of these sizes; those of a group, or all of them, share a service.
  init(queueSizes: [UInt16] = [64], groups: [[Int]]? = nil, threads: [QueueThread] = []) {
    self.queueSizes = queueSizes
    let groups = groups ?? [Array(queueSizes.indices)]
    workers = QueueWorkers("echo", groups: groups, threads: threads)
  }

  var type: VirtioDeviceType { VirtioDeviceType(rawValue: 42) }
  var name: String { "echo" }
  var features: VirtioFeatures { [Self.oddFeature, Self.evenFeature] }
  var configurationCount: Int { 8 }
  var agreed: VirtioFeatures { state.withLock { $0.features } }
  var signals: VirtioSignals? { state.withLock { $0.signals } }
  var writes: [UInt64] { state.withLock { $0.written } }

  /// The odd feature needs the even one.
  func accepts(_ features: VirtioFeatures) -> Bool {
    !features.contains(Self.oddFeature) || features.contains(Self.evenFeature)
  }

  func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    var bytes = ConfigurationBytes()
    bytes.set(0x8877_6655_4433_2211 as UInt64, at: 0)
    return bytes.read(offset: offset, width: width)
  }

  func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    state.withLock { $0.written.append(value) }
  }

  func activate(_ activation: VirtioActivation) throws {
    activations.wrappingAdd(1, ordering: .relaxed)
    try workers.start(activation) { _ in EchoService(activation.memory) }
    state.withLock { state in
      state.signals = activation.signals
      state.features = activation.features
    }
  }

  func reset() {
    resets.wrappingAdd(1, ordering: .relaxed)
    workers.stop()
  }

  func resetQueue(_ index: Int) { workers.stopQueue(index) }
  func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}

/// Sends the readable bytes of each chain back.
final class EchoService: QueueService {
  private var chain: DescriptorChain
  private var buffer = [UInt8](repeating: 0, count: 4096)

  init(_ memory: GuestMemory) { chain = DescriptorChain(in: memory) }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<8 {
      guard try queue.pop(into: &chain) else { return .drained }
      let size = chain.read(into: &buffer)
      queue.complete(chain, written: UInt32(chain.write(buffer, count: size)))
    }
    return .busy
  }
}
