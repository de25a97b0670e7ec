import CLinux

/// The register of a descriptor table, GDTR or IDTR (SDM volume 3A, 2.4).
public struct DescriptorTable: Equatable, Sendable {
  /// The linear address of the table.
  public var base: UInt64
  /// The offset of its last byte.
  public var limit: UInt16

  /// Describes a table.
  public init(base: UInt64 = 0, limit: UInt16 = 0) {
    self.base = base
    self.limit = limit
  }

  init(_ raw: kvm_dtable) { self.init(base: raw.base, limit: raw.limit) }

  var raw: kvm_dtable { kvm_dtable(base: base, limit: limit, padding: (0, 0, 0)) }
}
