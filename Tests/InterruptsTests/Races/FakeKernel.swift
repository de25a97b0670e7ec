import HostOS
import TestSupport

@testable import Interrupts

/// A controller that treats bound sources as KVM does: it lowers the line at the end of the interrupt and
/// says so to another thread, which tells the router later.
///
/// One pin, GSI 16, level-triggered. The process's own level and that of the irqfd are OR'd, as they
/// are different sources there.
final class FakeKernel: ResamplingController {
  struct State {
    var isPrepared = false
    var ownLevel = false
    var held = false
    var isMasked = false
    /// The interrupt is at the processor, or served by it (82093AA, 3.2.4, remote IRR).
    var remoteIRR = false
    var isPending = false
    var isInService = false
    var unreportedEnds = 0
    var served = 0
    var withdrawn = 0

    mutating func evaluate() {
      guard ownLevel || held, !isMasked, !remoteIRR else { return }
      remoteIRR = true
      isPending = true
    }
  }

  let state = PlaneLock(State())
  private unowned let router: InterruptRouter

  init(_ router: InterruptRouter) { self.router = router }

  func prepare(_ gsi: GSI) throws(InterruptError) {
    guard gsi.rawValue < 24 else { throw .invalid("\(gsi) is no pin") }
    state.withLock { $0.isPrepared = true }
  }

  func refresh() {
    state.withLock { state in
      state.ownLevel = router.ioAPICLevels.all >> 16 & 1 != 0
      state.evaluate()
    }
  }

  func hold(_ gsi: GSI) {
    state.withLock { state in
      precondition(state.isPrepared)
      state.held = true
      state.evaluate()
    }
  }

  func withdraw(_ gsi: GSI) {
    // To take the irqfd off and to bind it again are two calls of the kernel, here with one lock.
    state.withLock { state in
      state.held = false
      state.withdrawn += 1
    }
  }

  func setMask(_ isMasked: Bool) {
    state.withLock { state in
      state.isMasked = isMasked
      state.evaluate()
    }
  }

  /// The guest takes an interrupt and ends it, in two steps.
  @discardableResult
  func serve() -> Bool {
    let isServed = state.withLock { state in
      guard state.isPending else { return false }
      state.isPending = false
      state.isInService = true
      state.served += 1
      return true
    }
    guard isServed else { return false }
    state.withLock { state in
      state.isInService = false
      // First who is bound, then the level is looked at again.
      state.held = false
      state.unreportedEnds += 1
      state.remoteIRR = false
      state.evaluate()
    }
    return true
  }

  /// The thread that waits for the ends.
  @discardableResult
  func report() -> Bool {
    let hasEnded = state.withLock { state in
      guard state.unreportedEnds > 0 else { return false }
      // An eventfd: ends that nobody has read yet are one.
      state.unreportedEnds = 0
      return true
    }
    if hasEnded { router.acknowledged(.ioAPIC(16)) }
    return hasEnded
  }
}
