import CLinux

/// A model-specific register and its value (api.rst, 4.18).
public struct MSREntry: Hashable, Sendable {
  /// The register's number, as in ECX for `RDMSR`.
  public var index: UInt32
  /// Its value.
  public var value: UInt64

  /// Pairs a register with a value.
  public init(index: UInt32, value: UInt64) {
    self.index = index
    self.value = value
  }

  init(_ raw: kvm_msr_entry) { self.init(index: raw.index, value: raw.data) }

  var raw: kvm_msr_entry { kvm_msr_entry(index: index, reserved: 0, data: value) }
}
