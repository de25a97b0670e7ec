public import GuestMemory

/// Where everything is in the guest's physical address space, for one size of RAM.
///
/// A value, computed once from the size and the width of a physical address; nothing in it changes
/// while the guest runs. RAM fills 0 to 3 GiB and goes on at 4 GiB; the gigabyte between belongs to
/// devices, because 32-bit BARs, the I/O APIC and the local APIC must be below 4 GiB.
public struct MemoryMap: Equatable, Sendable {
  /// The size of RAM in bytes.
  public let size: UInt64
  /// Bits in a guest-physical address (CPUID 0x8000_0008 EAX[7:0]), from 36 to 52.
  public let physicalAddressBits: Int
  /// RAM below the 32-bit device window; it starts at address 0.
  public let lowRAM: Range<GuestAddress>
  /// RAM from 4 GiB on, if there is more than fits below.
  public let highRAM: Range<GuestAddress>?
  /// Where 64-bit BARs are placed: above RAM, a power of two long, and aligned to its length.
  public let pciWindow64: Range<GuestAddress>

  /// Lays out `size` bytes of RAM for a guest whose addresses have `physicalAddressBits` bits.
  ///
  /// - Parameters:
  ///   - size: Bytes of RAM, a multiple of 4 KiB, at least ``minimumSize``.
  ///   - physicalAddressBits: CPUID 0x8000_0008 EAX[7:0]; taken as 36 if less, as 52 if more
  ///     (AMD64 Architecture Programmer's Manual volume 2, 5.1: the architecture's limit).
  /// - Throws: ``MemoryMapError`` if no machine of that size can be built.
  public init(size: UInt64, physicalAddressBits: Int) throws(MemoryMapError) {
    let bits = min(max(physicalAddressBits, 36), 52)
    let limit: UInt64 = 1 << bits
    let holeStart = Self.pciWindow32.lowerBound.rawValue
    let largest = limit - (Self.highRAMStart.rawValue - holeStart) - Self.smallestWindow64
    guard size != 0 else { throw .zero }
    guard size % GuestMemory.pageSize == 0 else { throw .unaligned(size: size) }
    guard size >= Self.minimumSize else { throw .tooSmall(size: size) }
    guard size <= largest else {
      throw .tooLarge(size: size, largest: largest, physicalAddressBits: bits)
    }
    self.size = size
    self.physicalAddressBits = bits
    lowRAM = GuestAddress(0)..<GuestAddress(min(size, holeStart))
    var end = Self.highRAMStart
    if size > holeStart {
      end = Self.highRAMStart &+ (size - holeStart)
      highRAM = Self.highRAMStart..<end
    } else {
      highRAM = nil
    }
    pciWindow64 = Self.window64(above: end.rawValue, limit: limit)
  }

  /// RAM as one or two ranges, by ascending address.
  public var ram: [Range<GuestAddress>] { [lowRAM] + (highRAM.map { [$0] } ?? []) }

  /// RAM in the form in which `GuestMemory` is made.
  public var guestMemoryRanges: [(start: GuestAddress, count: UInt64)] {
    ram.map { ($0.lowerBound, $0.byteCount) }
  }

  /// The map that boot protocols hand to the guest, by ascending address, without overlap.
  ///
  /// (ACPI Specification 6.5, 15: System Address Map Interfaces.) What is not listed is for devices.
  public var e820: [E820Entry] {
    var entries = [
      E820Entry(GuestAddress(0)..<Self.extendedBIOSData.lowerBound, .usable),
      // From the extended BIOS data area through the video and ROM areas, where the ACPI tables are.
      E820Entry(Self.extendedBIOSData.lowerBound..<Self.oneMebibyte, .reserved),
      E820Entry(Self.oneMebibyte..<lowRAM.upperBound, .usable),
      // PCI Firmware Specification 3.3, 4.1.2: ECAM must be reserved, else the OS does not use it.
      E820Entry(Self.ecam, .reserved),
      E820Entry(Self.kvmPages, .reserved),
    ]
    if let highRAM { entries.append(E820Entry(highRAM, .usable)) }
    return entries
  }

  private static var smallestWindow64: UInt64 { 1 << 30 }

  /// 64 GiB from 64 GiB on or above RAM; less, at the top, where the address space is that small.
  private static func window64(above end: UInt64, limit: UInt64) -> Range<GuestAddress> {
    var count: UInt64 = 64 << 30
    let start = (max(end, count) + count - 1) & ~(count - 1)
    if start <= limit - count { return GuestAddress(start)..<GuestAddress(start + count) }
    while limit - count < end { count >>= 1 }
    return GuestAddress(limit - count)..<GuestAddress(limit)
  }
}
