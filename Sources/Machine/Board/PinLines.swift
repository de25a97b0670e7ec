import DeviceModel
import Interrupts
import Platform

/// The test device's hold on every pin: one more source of each.
final class PinLines: TestLines {
  private let sources: [any InterruptLine]

  init(_ plane: any MachinePlane) throws(InterruptError) {
    sources = try (0..<24).map { (gsi) throws(InterruptError) in try plane.makeLine(gsi) }
  }

  func setLine(_ line: Int, to level: Bool) {
    guard sources.indices.contains(line) else { return }
    if level { sources[line].assert() } else { sources[line].deassert() }
  }
}
