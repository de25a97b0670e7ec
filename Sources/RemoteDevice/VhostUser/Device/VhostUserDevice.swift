import GuestMemory
import HostOS
import Logging
import Virtio

/// A virtio device as a session drives it: rings start and stop one by one, memory changes in between.
///
/// Owned by the session's thread. The device is active while any ring is served.
final class VhostUserDevice {
  let device: any VirtioDevice
  let interrupts: VhostUserInterrupts
  let signals: VirtioSignals
  private var running: [Int: VirtqueueConfiguration] = [:]

  init(_ device: any VirtioDevice, waking wake: EventFD, logger: Logger) {
    self.device = device
    interrupts = VhostUserInterrupts(count: device.queueSizes.count, waking: wake)
    signals = VirtioSignals(device.name, interrupts: interrupts, logger: logger)
  }

  /// How many rings the device has.
  var ringCount: Int { device.queueSizes.count }

  /// Whether ring `index` is served.
  func isRunning(_ index: Int) -> Bool { running[index] != nil }

  /// Whether any ring is served.
  var isActive: Bool { !running.isEmpty }

  /// Whether the driver broke a rule, so that nothing is served until all rings have been stopped.
  var needsReset: Bool { signals.status.contains(.needsReset) }

  /// Serves a ring from now on, which has been checked.
  func start(
    _ queue: VirtqueueConfiguration,
    in memory: GuestMemory
  ) throws(VhostUserError) {
    _ = signals.takeState(of: queue.index)
    do {
      if isActive {
        try device.restartQueue(queue)
      } else {
        signals.begin()
        var queues = [VirtqueueConfiguration?](repeating: nil, count: ringCount)
        queues[queue.index] = queue
        try device.activate(
          VirtioActivation(
            features: queue.features,
            memory: memory,
            queues: queues,
            signals: signals
          )
        )
      }
      running[queue.index] = queue
    } catch let error as SystemError {
      throw .host(error)
    } catch {
      throw .refused(.setRingEnable, "\(error)")
    }
  }

  /// Ends what is under way on a ring, and serves it no more.
  ///
  /// - Returns: The ring with where it stands; `nil` if it was not served.
  func stop(_ index: Int) -> VirtqueueConfiguration? {
    guard var queue = running.removeValue(forKey: index) else { return nil }
    device.resetQueue(index)
    if let state = signals.takeState(of: index) { queue.state = state }
    if running.isEmpty {
      device.suspend()
      signals.reset()
    }
    return queue
  }

  /// Ends what is under way on all rings, and serves none.
  ///
  /// - Returns: The rings that were served, with where they stand.
  func stopAll() -> [VirtqueueConfiguration] {
    guard isActive else { return [] }
    device.suspend()
    let stopped = running.values.sorted { $0.index < $1.index }.map { queue in
      var queue = queue
      if let state = signals.takeState(of: queue.index) { queue.state = state }
      return queue
    }
    running = [:]
    signals.reset()
    return stopped
  }

  /// Puts the device back to how it was before anybody used it; no ring is served.
  func reset() {
    precondition(!isActive, "reset with rings that are served")
    device.reset()
  }
}
