/// One GSI as the router keeps it: its routes, and how many of its sources are asserted.
///
/// Touched only with the router's lock held.
final class GSILine: @unchecked Sendable {
  // Sendable: the router's lock guards all of it.
  let gsi: GSI
  var routes: [InterruptRoute] = []
  /// Asserted sources, without those that the kernel holds up itself.
  var asserted = 0
  /// Asserted sources that the kernel holds up until the end of the interrupt.
  var heldByKernel = 0
  /// Sources that are de-asserted at the end of the interrupt.
  var bound: [SourceState] = []
  /// All sources, for a user to see.
  var sourceCount = 0
  /// Some source was asserted at some time since the last end of the interrupt.
  var hasBeenUpSinceEnd = false
  var counters = InterruptCounters()

  init(_ gsi: GSI) { self.gsi = gsi }

  var isAsserted: Bool { asserted + heldByKernel > 0 }
}

/// One user of a GSI as the router keeps it; touched only with the router's lock held.
final class SourceState: @unchecked Sendable {
  // Sendable: the router's lock guards all of it.
  let line: GSILine
  var isAsserted = false
  /// Whether the kernel holds the line up for it: then the line counts it in `heldByKernel`.
  var isHeldByKernel = false
  /// Called at the end of the interrupt, if the source is asserted then.
  var notifier: (@Sendable () -> Void)?

  init(_ line: GSILine) { self.line = line }
}
