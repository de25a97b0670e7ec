/// How processors take what is pending.
extension FloatingInterruptController {
  /// Whether something is pending that a processor open as `window` says would take.
  public func hasInterrupt(for window: InterruptWindow) -> Bool {
    state.withLock { $0.pending.firstClass(for: window) != nil }
  }

  /// Takes out what a processor open as `window` says takes next.
  public func take(for window: InterruptWindow) -> FloatingInterrupt? {
    state.withLock { state in
      guard let interruptClass = state.pending.firstClass(for: window) else { return nil }
      return state.pending.take(interruptClass)
    }
  }

  /// Lets `processor` take the next interrupt that it is open for; on its own thread.
  ///
  /// - Returns: What it took.
  @discardableResult
  public func deliverNext(to processor: inout S390Processor) -> FloatingInterrupt? {
    guard processor.activity != .stopped else { return nil }
    guard let interrupt = take(for: processor.window) else { return nil }
    processor.take(interrupt)
    return interrupt
  }

  /// Lets `processor` take all that it is open for, one after another; on its own thread.
  ///
  /// Each new PSW opens or closes the masks for the next, so that of several interruptions the last
  /// to be taken is the first whose handler runs (Principles of Operation, chapter 6, "Priority of
  /// Interruptions"). What others add meanwhile may wait for the next call: this one ends.
  ///
  /// - Returns: How many it took.
  @discardableResult
  public func deliverPending(to processor: inout S390Processor) -> Int {
    let limit = pendingCount
    var count = 0
    while count < limit, deliverNext(to: &processor) != nil { count += 1 }
    return count
  }
}
