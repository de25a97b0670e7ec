public import GuestMemory

/// The ACPI tables of a machine (ACPI 6.5, 5.2), as one run of bytes for one place in guest memory.
///
/// The RSDP comes first, then FACS, DSDT, FADT, MADT, MCFG and XSDT. The system overwrites parts of
/// FACS, so the range belongs in the memory map as ACPI NVS or reserved, not as reclaimable.
public struct ACPITables: Equatable, Sendable {
  /// One table of the set.
  public struct Table: Equatable, Sendable {
    /// Its four characters, `RSDP` for the root pointer.
    public let signature: String
    /// Where it is in guest memory.
    public let address: GuestAddress
    /// Where it is in ``ACPITables/bytes``.
    public let range: Range<Int>
  }

  /// Where the first byte goes; the address of the RSDP.
  public let address: GuestAddress
  /// What to write there.
  public private(set) var bytes: [UInt8] = []
  /// The tables in the order of their addresses.
  public private(set) var tables: [Table] = []

  /// Builds the tables of `machine` for `address`.
  ///
  /// - Parameters:
  ///   - machine: What the tables say.
  ///   - address: A multiple of 64 below 4 GiB; for guests that search for the RSDP, between
  ///     0xE_0000 and 0xF_FFFF (5.2.5.1).
  public init(of machine: ACPIConfiguration, at address: GuestAddress) {
    precondition(address.rawValue % 64 == 0, "tables at \(address): no multiple of 64")
    precondition(address.rawValue <= 0xFFF0_0000, "tables at \(address): too near 4 GiB")
    precondition((1...256).contains(machine.busCount), "\(machine.busCount) PCI buses")
    self.address = address
    // The root pointer is written last, when the address of what it points to is known.
    add("RSDP", Self.rsdp(xsdt: 0))
    let facs = add("FACS", Self.facs, alignment: 64)
    let dsdt = add("DSDT", Self.dsdt(machine))
    let fadt = add("FACP", Self.fadt(machine, facs: facs, dsdt: dsdt))
    let madt = add("APIC", Self.madt(machine))
    let mcfg = add("MCFG", Self.mcfg(machine))
    let xsdt = add("XSDT", Self.xsdt([fadt, madt, mcfg]))
    let pointer = Self.rsdp(xsdt: xsdt)
    bytes.replaceSubrange(0..<pointer.count, with: pointer)
  }

  @discardableResult
  private mutating func add(
    _ signature: String,
    _ table: [UInt8],
    alignment: Int = 16
  ) -> UInt64 {
    let start = (bytes.count + alignment - 1) / alignment * alignment
    bytes += [UInt8](repeating: 0, count: start - bytes.count) + table
    let place = address &+ UInt64(start)
    tables.append(Table(signature: signature, address: place, range: start..<bytes.count))
    return place.rawValue
  }
}

extension Range<GuestAddress> {
  /// The range as plain numbers.
  var addresses: Range<UInt64> { lowerBound.rawValue..<upperBound.rawValue }
}
