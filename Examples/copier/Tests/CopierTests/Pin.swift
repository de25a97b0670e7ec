import DeviceModel
import Synchronization

/// A pin that remembers its level.
final class Pin: InterruptLine {
  private let level = Atomic(false)
  var isAsserted: Bool { level.load(ordering: .sequentiallyConsistent) }
  func assert() { level.store(true, ordering: .sequentiallyConsistent) }
  func deassert() { level.store(false, ordering: .sequentiallyConsistent) }
}
