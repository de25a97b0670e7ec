import Synchronization

/// The level of the 8259s' INTR output, as all local APICs see it at LINT0.
final class ExternalLine: Sendable {
  private let asserted = Atomic<Bool>(false)
  private let changes = Atomic<UInt64>(0)

  var level: Bool { asserted.load(ordering: .sequentiallyConsistent) }

  /// Takes the level of `source`, or `level` if there is none.
  ///
  /// A thread whose look at the source was overtaken by another change looks again, so that the last
  /// one to store has seen the last change.
  func set(_ level: Bool, of source: (any ExternalInterruptSource)?) {
    var seen = changes.add(1, ordering: .sequentiallyConsistent).newValue
    while true {
      asserted.store(source?.isRequesting ?? level, ordering: .sequentiallyConsistent)
      let now = changes.load(ordering: .sequentiallyConsistent)
      guard now != seen else { return }
      seen = now
    }
  }
}
