/// Who is told that something is pending.
extension FloatingInterruptController {
  /// Wakes one processor for an interrupt of `interruptClass`: the first that is idle and can take it, or
  /// the next in turn that is not stopped.
  func wake(
    _ targets: [any FloatingInterruptTarget],
    for interruptClass: FloatingInterruptClasses
  ) {
    for target in targets where target.activity == .idle && target.canTake(interruptClass) {
      return target.wake()
    }
    for _ in targets {
      let target = targets[nextTurn(of: targets.count)]
      if target.activity != .stopped { return target.wake() }
    }
  }

  /// Wakes a processor for each of `interrupts`, as long as there is one that was not woken yet.
  func wake(_ targets: [any FloatingInterruptTarget], for interrupts: [FloatingInterrupt]) {
    var rest = targets
    for interrupt in interrupts {
      let interruptClass = interrupt.interruptClass
      let idle = rest.firstIndex { $0.activity == .idle && $0.canTake(interruptClass) }
      if let idle {
        rest.remove(at: idle).wake()
        continue
      }
      guard let index = nextRunning(of: targets, among: rest) else { return }
      rest.remove(at: index).wake()
    }
  }

  /// Where in `rest` the next in turn is that is not stopped.
  private func nextRunning(
    of targets: [any FloatingInterruptTarget],
    among rest: [any FloatingInterruptTarget]
  ) -> Int? {
    guard rest.contains(where: { $0.activity != .stopped }) else { return nil }
    for _ in targets {
      let target = targets[nextTurn(of: targets.count)]
      guard let index = rest.firstIndex(where: { $0 === target }) else { continue }
      if target.activity != .stopped { return index }
    }
    return nil
  }

  private func nextTurn(of count: Int) -> Int {
    state.withLock { state in
      let turn = state.turn % count
      state.turn = (turn + 1) % count
      return turn
    }
  }
}
