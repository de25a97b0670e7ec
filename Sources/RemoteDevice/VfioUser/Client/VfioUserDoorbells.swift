import DeviceModel
import HostOS
import Synchronization
import Virtio

/// Writes to BARs that the kernel turns into signals for the server, which follow the BARs.
final class VfioUserDoorbells: Sendable {
  /// One of them.
  struct Bell: Sendable {
    let bar: Int
    let offset: UInt64
    let width: Int
    let value: UInt64?
    let event: EventFD
  }

  private struct State {
    var bells: [(bell: Bell, hung: Doorbell?)] = []
    /// Where each BAR is now.
    var addresses: [Int: UInt64] = [:]
  }

  private let registry: any DoorbellRegistry
  private let log: LimitedLog
  // Held over the registry's calls, so that what is remembered is what is attached.
  private let state = Mutex(State())

  init(_ registry: any DoorbellRegistry, log: LimitedLog) {
    self.registry = registry
    self.log = log
  }

  /// Replaces them all.
  func set(_ bells: [Bell]) {
    state.withLock { state in
      for index in state.bells.indices { takeDown(&state.bells[index]) }
      state.bells = bells.map { ($0, nil) }
      for index in state.bells.indices { hangUp(&state.bells[index], state.addresses) }
    }
  }

  /// Lets those of a BAR follow it; `nil` if it is nowhere.
  func move(_ bar: Int, to address: UInt64?) {
    state.withLock { state in
      state.addresses[bar] = address
      for index in state.bells.indices where state.bells[index].bell.bar == bar {
        takeDown(&state.bells[index])
        hangUp(&state.bells[index], state.addresses)
      }
    }
  }

  private func hangUp(_ bell: inout (bell: Bell, hung: Doorbell?), _ addresses: [Int: UInt64]) {
    guard let base = addresses[bell.bell.bar] else { return }
    let doorbell = Doorbell(
      address: base &+ bell.bell.offset,
      width: bell.bell.width,
      value: bell.bell.value
    )
    do {
      try registry.attach(doorbell, to: bell.bell.event)
      bell.hung = doorbell
    } catch {
      // The guest's writes reach the BAR, and with it the server.
      log.error("cannot hang up a doorbell at 0x\(String(doorbell.address, radix: 16)): \(error)")
    }
  }

  private func takeDown(_ bell: inout (bell: Bell, hung: Doorbell?)) {
    guard let doorbell = bell.hung else { return }
    bell.hung = nil
    do {
      try registry.detach(doorbell, from: bell.bell.event)
    } catch {
      log.error("cannot take down a doorbell at 0x\(String(doorbell.address, radix: 16)): \(error)")
    }
  }
}
