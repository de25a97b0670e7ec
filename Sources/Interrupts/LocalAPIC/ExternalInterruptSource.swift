/// What a processor takes the vectors of external interrupts from: the pair of 8259s.
///
/// Any thread calls, with no lock of a local APIC held.
public protocol ExternalInterruptSource: AnyObject, Sendable {
  /// The level of the INTR output.
  var isRequesting: Bool { get }
  /// Answers the processor's INTA cycles with the vector, the spurious one if the request is gone.
  func acknowledge() -> UInt8
}
