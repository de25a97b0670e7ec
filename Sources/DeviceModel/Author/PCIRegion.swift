/// A region of a device's registers, behind a base address register of its own.
public struct PCIRegion: Equatable, Sendable {
  /// Which addresses the guest reaches it at.
  public enum Kind: Equatable, Sendable {
    /// Memory below 4 GiB, which every guest and every protocol knows.
    case memory
    /// Memory anywhere; takes two base address registers, and is not known to the multi-process protocol.
    case memory64
    /// x86 I/O ports.
    case ports
  }

  /// The base address register, 0 to 5, which is the region's number in a ``BusAccess``.
  public let bar: Int
  /// Which addresses the guest reaches it at.
  public let kind: Kind
  /// The length in bytes, a power of two.
  public let size: UInt64
  /// The widths in which the device is asked for it.
  public let widths: AccessWidths
  /// Which of its bytes are memory, by ascending offset: see ``DeviceRegionMemory``.
  public let memory: [Range<UInt64>]

  /// Describes a region.
  ///
  /// - Parameters:
  ///   - bar: The base address register, 0 to 5; 0 to 4 for ``Kind/memory64``.
  ///   - size: A power of two: at least 16 bytes of memory, or 4 to 256 ports (PCI 3.0, 6.2.5.1).
  ///   - kind: Which addresses the guest reaches it at.
  ///   - widths: The widths that the registers have. What a guest reads or writes is split into the widest
  ///     of these that fit; where none fits, it reads zero, and what it writes is ignored.
  ///   - memory: Which of its bytes are memory that the guest reaches without asking the device: whole pages of 4096
  ///     bytes, by ascending offset, 32 MiB at most. The others are registers.
  public init(
    _ bar: Int,
    size: UInt64,
    _ kind: Kind = .memory,
    widths: AccessWidths = .all,
    memory: [Range<UInt64>] = []
  ) {
    precondition(
      memory.allSatisfy { !$0.isEmpty && ($0.lowerBound | $0.upperBound) % 4096 == 0 }
        && zip(memory, memory.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }
        && memory.last.map { $0.upperBound <= size } ?? true
        && memory.reduce(0) { $0 + UInt64($1.count) } <= 32 << 20
        && (memory.isEmpty || kind != .ports),
      "region \(bar) of \(size) bytes cannot have memory at \(memory)"
    )
    precondition(!widths.isEmpty, "region \(bar) can be accessed in no width")
    self.bar = bar
    self.kind = kind
    self.size = size
    self.widths = widths
    self.memory = memory
  }
}
