import CLinux

/// What CPUID answers for one leaf, or one sub-leaf of it (api.rst, 4.46).
public struct CPUIDEntry: Hashable, Sendable {
  /// EAX as the guest gives it: the leaf.
  public var function: UInt32
  /// ECX as the guest gives it: the sub-leaf; matters only with ``Flags/significantIndex``.
  public var index: UInt32
  /// How the entry is matched.
  public var flags: Flags
  /// The answer in EAX.
  public var eax: UInt32
  /// The answer in EBX.
  public var ebx: UInt32
  /// The answer in ECX.
  public var ecx: UInt32
  /// The answer in EDX.
  public var edx: UInt32

  /// How an entry is matched.
  public struct Flags: OptionSet, Hashable, Sendable {
    /// The bits of linux/kvm.h.
    public let rawValue: UInt32
    /// Wraps bits of linux/kvm.h.
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The entry is for one sub-leaf, not for all.
    public static var significantIndex: Self { Self(rawValue: 1 << 0) }
  }

  /// Describes the answer for a leaf, or for a sub-leaf if `flags` say so.
  public init(
    function: UInt32,
    index: UInt32 = 0,
    flags: Flags = [],
    eax: UInt32 = 0,
    ebx: UInt32 = 0,
    ecx: UInt32 = 0,
    edx: UInt32 = 0
  ) {
    self.function = function
    self.index = index
    self.flags = flags
    self.eax = eax
    self.ebx = ebx
    self.ecx = ecx
    self.edx = edx
  }

  init(_ raw: kvm_cpuid_entry2) {
    self.init(
      function: raw.function,
      index: raw.index,
      flags: Flags(rawValue: raw.flags),
      eax: raw.eax,
      ebx: raw.ebx,
      ecx: raw.ecx,
      edx: raw.edx
    )
  }

  var raw: kvm_cpuid_entry2 {
    kvm_cpuid_entry2(
      function: function,
      index: index,
      flags: flags.rawValue,
      eax: eax,
      ebx: ebx,
      ecx: ecx,
      edx: edx,
      padding: (0, 0, 0)
    )
  }
}
