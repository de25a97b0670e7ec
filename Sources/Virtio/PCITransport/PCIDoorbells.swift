import DeviceModel
import HostOS
import Synchronization

/// The doorbells of one device's queues, which follow its BAR.
final class PCIDoorbells: Sendable {
  private let registry: (any DoorbellRegistry)?
  private let kicks: [EventFD]
  private let log: LimitedLog
  // Held over the registry's calls, so that what is remembered is what is attached. Nobody waits
  // for it but another move of the same BAR.
  private let attached = Mutex<[Doorbell?]>([])

  init(_ registry: (any DoorbellRegistry)?, kicks: [EventFD], log: LimitedLog) {
    self.registry = registry
    self.kicks = kicks
    self.log = log
  }

  /// Takes the doorbells down, then hangs them up from `address` on, unless it is `nil`.
  ///
  /// Where one cannot be hung up, the guest's write reaches the BAR, which wakes the same queue.
  func move(to address: UInt64?) {
    guard let registry else { return }
    attached.withLock { attached in
      for (doorbell, kick) in zip(attached, kicks) {
        guard let doorbell else { continue }
        report("take down", doorbell) { try registry.detach(doorbell, from: kick) }
      }
      attached = []
      guard let address else { return }
      for (index, kick) in kicks.enumerated() {
        // 4.1.4.4: the queue is known by the address. Any width, which is the kernel's fastest
        // kind, and any value, since with VIRTIO_F_NOTIFICATION_DATA it tells how far the driver
        // has come (2.9, 4.1.5.2).
        let doorbell = Doorbell(
          address: address &+ UInt64(index) &* PCILayout.notifyMultiplier,
          width: 0
        )
        let isHung = report("hang up", doorbell) { try registry.attach(doorbell, to: kick) }
        attached.append(isHung ? doorbell : nil)
      }
    }
  }

  @discardableResult
  private func report(_ what: String, _ doorbell: Doorbell, _ body: () throws -> Void) -> Bool {
    do {
      try body()
      return true
    } catch {
      let place = "0x" + String(doorbell.address, radix: 16)
      log.error("cannot \(what) the doorbell at \(place): \(error)")
      return false
    }
  }
}
