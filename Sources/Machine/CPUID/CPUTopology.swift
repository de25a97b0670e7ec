/// How CPUs are numbered and grouped: one package of single-threaded cores.
///
/// A CPU's APIC identifier is its index, so that the MADT, CPUID and KVM agree by construction.
public struct CPUTopology: Equatable, Sendable {
  /// How many CPUs there are.
  public let count: Int

  /// Describes `count` CPUs, at least one and at most 255, as an 8-bit APIC identifier allows.
  public init(count: Int) {
    precondition((1...255).contains(count), "\(count) CPUs")
    self.count = count
  }

  /// The bits of an APIC identifier that number a core within its package.
  public var coreBits: UInt32 {
    UInt32(Int.bitWidth - (count - 1).leadingZeroBitCount)
  }

  /// The APIC identifier of the CPU with this index.
  public func apicID(ofCPU index: Int) -> UInt32 { UInt32(truncatingIfNeeded: index) }
}
