import CLinux
import GuestMemory
import HostOS

/// Fills a driver's buffers with random bytes, on the queue's thread.
final class EntropyService: QueueService {
  private static var batch: Int { 16 }

  private let log: LimitedLog
  private let gate: RateGate?
  private var chain: DescriptorChain
  private var bytes = [UInt8](repeating: 0, count: Entropy.limit)
  // A request was taken that waits for its turn.
  private var isHolding = false

  init(_ activation: VirtioActivation, _ gate: RateGate? = nil) {
    log = activation.signals.log
    self.gate = gate
    chain = DescriptorChain(in: activation.memory)
  }

  func serve(_ queue: inout Virtqueue) throws(VirtqueueError) -> QueueOutcome {
    for _ in 0..<Self.batch {
      if isHolding {
        if let gate, !gate.isOpen { return gate.outcome }
      } else {
        guard try queue.pop(into: &chain) else { return .drained }
        isHolding = true
        if let gate, !gate.pass(bytes: UInt64(wanted)) { return gate.outcome }
      }
      isHolding = false
      // 5.4.6.1: the driver gives writable buffers only; what it gives to read is not looked at.
      queue.complete(chain, written: fill())
    }
    return .busy
  }

  func finish(_ queue: inout Virtqueue) {
    gate?.cancel()
    if isHolding { queue.putBack() }
    isHolding = false
  }

  /// How many bytes the request gets.
  private var wanted: Int { Int(min(chain.writableCount, UInt64(Entropy.limit))) }

  /// Writes random bytes to the chain, and returns how many.
  private func fill() -> UInt32 {
    let wanted = wanted
    guard wanted > 0 else { return 0 }
    let count: Int
    do throws(SystemError) {
      count = try retrying("getrandom") {
        // SAFETY: the buffer has room for `wanted` bytes.
        unsafe bytes.withUnsafeMutableBytes { unsafe getrandom($0.baseAddress, wanted, 0) }
      }
    } catch {
      log.error("\(error)")
      return 0
    }
    return UInt32(chain.write(bytes, count: count))
  }
}
