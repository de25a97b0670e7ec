import DeviceModel
import Synchronization

/// The interrupt status register of the MMIO transport, and the line that it drives.
final class MMIOInterrupts: VirtioInterrupts {
  private enum Bit {
    static var usedBuffer: UInt32 { 1 }
    static var configurationChange: UInt32 { 2 }
  }

  private let line: any InterruptLine
  // Held over the line's call: a raise and a fall that overtook one another would leave the line at
  // the wrong level.
  private let pending = Mutex<UInt32>(0)

  init(_ line: any InterruptLine) { self.line = line }

  /// The bits that the driver has not acknowledged.
  var status: UInt32 { pending.withLock { $0 } }

  func signalQueue(_ index: Int) { raise(Bit.usedBuffer) }

  func signalConfigurationChange() { raise(Bit.configurationChange) }

  func reset() { acknowledge(.max) }

  /// Clears bits; the line falls with the last one.
  func acknowledge(_ bits: UInt32) {
    pending.withLock { pending in
      guard pending & bits != 0 else { return }
      pending &= ~bits
      if pending == 0 { line.deassert() }
    }
  }

  private func raise(_ bit: UInt32) {
    pending.withLock { pending in
      pending |= bit
      // Even where it is up already: an interrupt controller may have lowered its side at the end
      // of an interrupt, and asserting is idempotent.
      line.assert()
    }
  }
}
