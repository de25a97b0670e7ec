public import HostOS

/// A virtio source of random bytes (virtio 1.2, 5.4), taken from the host's kernel.
public final class Entropy: VirtioDevice {
  /// The most bytes that one request gets.
  public static var limit: Int { 4096 }

  /// The device's name in the log.
  public let name: String

  private let limiter: RateLimiter?
  private let workers: QueueWorkers

  /// Makes a source of random bytes.
  ///
  /// - Parameters:
  ///   - name: Its name in log lines and of its thread.
  ///   - limiter: How much the driver may take; what is above that waits.
  ///   - threads: Who serves its queue; see ``QueueWorkers``.
  public init(
    name: String = "rng0",
    limiter: RateLimiter? = nil,
    threads: [QueueThread] = []
  ) {
    self.name = name
    self.limiter = limiter
    workers = QueueWorkers(name, groups: [[0]], threads: threads)
  }

  /// An entropy device.
  public var type: VirtioDeviceType { .entropy }
  /// None of its type (5.4.3); one request is answered after the other.
  public var features: VirtioFeatures { .inOrder }
  /// One queue.
  public var queueSizes: [UInt16] { [64] }
  /// There is no configuration (5.4.4).
  public var configurationCount: Int { 0 }
  /// Zero.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 { 0 }

  /// Makes what serves the queue, for a loop other than that of a ``QueueThread``.
  ///
  /// It belongs to the thread that calls it; nothing else of the device needs to be active.
  ///
  /// - Throws: `SystemError` if the host has no descriptor left.
  public func makeService(_ activation: VirtioActivation) throws(SystemError) -> any QueueService {
    try Self.makeService(activation, limiter)
  }

  private static func makeService(
    _ activation: VirtioActivation,
    _ limiter: RateLimiter?
  ) throws(SystemError) -> EntropyService {
    EntropyService(
      activation,
      try limiter.map { (limiter) throws(SystemError) in try RateGate(limiter) }
    )
  }

  /// Starts the thread that serves the queue.
  public func activate(_ activation: VirtioActivation) throws {
    let limiter = limiter
    try workers.start(activation) { _ in
      do throws(SystemError) {
        return try Self.makeService(activation, limiter)
      } catch {
        activation.signals.needsReset("cannot start: \(error)")
        return IdleService()
      }
    }
  }

  /// Ends the thread.
  public func reset() { workers.stop() }

  /// Serves the queue no more.
  public func resetQueue(_ index: Int) { workers.stopQueue(index) }

  /// Serves the queue again.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try workers.startQueue(queue) }
}
