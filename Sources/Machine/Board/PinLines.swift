import DeviceModel
import Interrupts
import Platform

/// The test device's hold on every pin: one more source of each.
final class PinLines: TestLines {
  private let sources: [any InterruptLine]

  init(_ pins: [InterruptPin]) { sources = pins.map { $0.makeSource() } }

  func setLine(_ line: Int, to level: Bool) {
    guard sources.indices.contains(line) else { return }
    if level { sources[line].assert() } else { sources[line].deassert() }
  }
}
