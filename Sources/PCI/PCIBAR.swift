public import DeviceModel

/// One base address register of a function: a range whose place the guest chooses (PCI 3.0, 6.2.5.1).
public struct PCIBAR: Equatable, Sendable {
  /// Which addresses a BAR can hold.
  public enum Kind: Equatable, Sendable {
    /// Memory below 4 GiB, without read side effects if `prefetchable`.
    case memory32(prefetchable: Bool = false)
    /// Memory anywhere; takes this register and the next.
    case memory64(prefetchable: Bool = false)
    /// I/O ports.
    case port
  }

  /// The first register, 0...5.
  public let index: Int
  /// Which addresses the BAR can hold.
  public let kind: Kind
  /// The length in bytes; a power of two, and the alignment.
  public let size: UInt64

  /// Describes a BAR.
  ///
  /// - Parameters:
  ///   - index: The first register, 0...5; 0...4 for 64-bit memory.
  ///   - kind: Which addresses it can hold.
  ///   - size: A power of two: at least 16 bytes of memory, or 4 to 256 ports (PCI 3.0, 6.2.5.1).
  public init(_ index: Int, _ kind: Kind, size: UInt64) {
    precondition(size > 0 && size & (size - 1) == 0, "BAR \(index) of \(size) bytes")
    switch kind {
    case .memory32: precondition(index < 6 && (16...0x8000_0000).contains(size))
    case .memory64: precondition(index < 5 && (16...1 << 62).contains(size))
    case .port: precondition(index < 6 && (4...256).contains(size))
    }
    precondition(index >= 0, "BAR \(index)")
    self.index = index
    self.kind = kind
    self.size = size
  }

  /// The address space that the BAR is in.
  public var space: Doorbell.Space { kind == .port ? .port : .memory }

  /// Whether the BAR takes two registers.
  public var is64Bit: Bool {
    if case .memory64 = kind { true } else { false }
  }

  /// The read-only low bits, which say what kind the BAR is (PCI 3.0, figures 6-5 and 6-6).
  var typeBits: UInt32 {
    switch kind {
    case .memory32(let prefetchable): prefetchable ? 0b1000 : 0
    case .memory64(let prefetchable): prefetchable ? 0b1100 : 0b0100
    case .port: 0b01
    }
  }

  /// The bits that the guest can write; the others tell it the size.
  var addressMask: UInt64 { ~(size - 1) }

  /// Whether the BAR can be decoded at `address`.
  ///
  /// Zero is a BAR that nobody set. One that ends where its address space ends holds all ones: it
  /// is being sized, and must not appear at the top of memory for that moment.
  func canDecode(at address: UInt64) -> Bool {
    guard address != 0 else { return false }
    return switch kind {
    case .memory32: address < (1 << 32) - size
    case .memory64: address < 0 &- size
    case .port: address <= 0x1_0000 - size
    }
  }
}
