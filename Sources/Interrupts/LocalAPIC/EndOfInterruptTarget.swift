/// Hears that processors have ended level-triggered interrupts: the I/O APIC.
public protocol EndOfInterruptTarget: AnyObject, Sendable {
  /// A processor has ended `vector` and broadcasts it (SDM volume 3A, 11.8.5); any thread, with no
  /// lock of a local APIC held.
  func endOfInterrupt(vector: UInt8)
}
