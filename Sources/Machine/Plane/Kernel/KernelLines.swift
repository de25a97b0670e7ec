import HostOS
import Interrupts
import KVM
import Logging

/// The pins of KVM's own chips, as a controller.
///
/// Levels of the process's own sources go through `KVM_IRQ_LINE`, which can lower them at any time. Bound
/// sources go through an irqfd with resample, one for each GSI that has any: the kernel lowers
/// it at the end of the interrupt, before the guest could be interrupted again, and says so.
final class KernelLines: ResamplingController {
  private struct Resampler {
    let line: EventFD
    let end: EventFD
    let token: UInt64
  }

  /// A pair of eventfds that another process holds too.
  private struct Pair {
    let gsi: GSI
    let event: EventFD
    let resample: EventFD
  }

  private struct State {
    var levels: UInt32 = 0
    var resamplers: [GSI: Resampler] = [:]
    /// By the place of the event, which lives as long as its pair.
    var pairs: [ObjectIdentifier: Pair] = [:]
  }

  private let vm: VM
  private let levels: PinLevels
  private let loop: InterruptEventLoop
  private let acknowledgement: any PinAcknowledgement
  private let logger = Logger(label: "interrupts")
  // Held over the kernel's calls: a raise and a fall that overtook one another would leave a pin at the wrong level.
  private let state = PlaneLock(State())

  init(
    _ vm: VM,
    levels: PinLevels,
    loop: InterruptEventLoop,
    acknowledgement: any PinAcknowledgement
  ) {
    self.vm = vm
    self.levels = levels
    self.loop = loop
    self.acknowledgement = acknowledgement
  }

  deinit {
    for resampler in state.withLock({ $0.resamplers }).values { loop.remove(resampler.token) }
  }

  func refresh() {
    state.withLock { state in
      let now = levels.all
      var changed = now ^ state.levels
      state.levels = now
      while changed != 0 {
        let gsi = UInt32(changed.trailingZeroBitCount)
        changed &= changed &- 1
        setLine(gsi, now >> gsi & 1 != 0)
      }
    }
  }

  private func setLine(_ gsi: UInt32, _ level: Bool) {
    do throws(KVMError) {
      try vm.irqLine(gsi, level: level)
    } catch {
      // The chips and the pin exist, so the call has no reason to fail; the guest goes on.
      logger.error("\(GSI(gsi)): \(error)")
    }
  }

  /// Changes the routes of `gsis` by `change`.
  ///
  /// The kernel takes no level from an old pin to a new one, so lines go down before and up after. What the
  /// kernel holds up stays down: the router has it held again.
  func reroute(_ gsis: [GSI], _ change: () throws(KVMError) -> Void) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      let up = gsis.map(\.rawValue).filter { $0 < 32 && state.levels >> $0 & 1 != 0 }
      for gsi in up { setLine(gsi, false) }
      for gsi in gsis { letGo(of: gsi, state) }
      let pairs = state.pairs.values.filter { gsis.contains($0.gsi) }
      for pair in pairs { try vm.deassignIRQFD(pair.event, gsi: pair.gsi.rawValue) }
      defer {
        for gsi in up { setLine(gsi, true) }
        for pair in pairs { attachAgain(pair) }
      }
      try change()
    }
  }

  /// Has signals of `event` raise `gsi` until the end of its interrupt, which signals `resample`: by the kernel alone.
  func attach(_ event: EventFD, resample: EventFD, to gsi: GSI) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      try vm.assignIRQFD(event, gsi: gsi.rawValue, resample: resample)
      state.pairs[ObjectIdentifier(event)] = Pair(gsi: gsi, event: event, resample: resample)
    }
  }

  /// Undoes ``attach(_:resample:to:)``, and lowers the line as far as `event` is concerned.
  func detach(_ event: EventFD) {
    state.withLock { state in
      guard let pair = state.pairs.removeValue(forKey: ObjectIdentifier(event)) else { return }
      do throws(KVMError) {
        try vm.deassignIRQFD(event, gsi: pair.gsi.rawValue)
      } catch {
        logger.error("\(pair.gsi): \(error)")
      }
    }
  }

  /// How many pairs each GSI has.
  var pairCounts: [GSI: Int] {
    state.withLock { state in
      state.pairs.values.reduce(into: [:]) { $0[$1.gsi, default: 0] += 1 }
    }
  }

  /// Puts a pair where its GSI leads now; the kernel has forgotten that it held the line up, so the other process is asked.
  private func attachAgain(_ pair: Pair) {
    do throws(KVMError) {
      try vm.assignIRQFD(pair.event, gsi: pair.gsi.rawValue, resample: pair.resample)
    } catch {
      logger.error("\(pair.gsi): \(error)")
    }
    pair.resample.signal()
  }

  func prepare(_ gsi: GSI) throws(InterruptError) {
    guard gsi.rawValue < KernelRoutes.pinCount else {
      throw .invalid("\(gsi) is no pin; level interrupts have GSIs 0 to 23")
    }
    try state.withLock { (state) throws(InterruptError) in
      guard state.resamplers[gsi] == nil else { return }
      do {
        let resampler = Resampler(
          line: try EventFD(),
          end: try EventFD(),
          token: loop.makeToken()
        )
        try loop.add(resampler.end, token: resampler.token) { [acknowledgement, resampler] in
          guard resampler.end.drain() > 0 else { return }
          acknowledgement.acknowledged(.ioAPIC(Int(gsi.rawValue)))
        }
        do {
          try bind(resampler, gsi)
        } catch {
          loop.remove(resampler.token)
          throw error
        }
        state.resamplers[gsi] = resampler
      } catch let error as SystemError {
        throw .system(error)
      } catch {
        throw .invalid("\(gsi): \(error)")
      }
    }
  }

  private func bind(_ resampler: Resampler, _ gsi: GSI) throws(KVMError) {
    try vm.assignIRQFD(resampler.line, gsi: gsi.rawValue, resample: resampler.end)
  }

  func hold(_ gsi: GSI) { state.withLock { $0.resamplers[gsi]?.line.signal() } }

  func withdraw(_ gsi: GSI) { state.withLock { letGo(of: gsi, $0) } }

  private func letGo(of gsi: GSI, _ state: State) {
    guard let resampler = state.resamplers[gsi] else { return }
    do throws(KVMError) {
      // The kernel lowers the line of an irqfd that is taken off.
      try vm.deassignIRQFD(resampler.line, gsi: gsi.rawValue)
      try bind(resampler, gsi)
    } catch {
      logger.error("\(gsi): \(error)")
    }
  }
}
