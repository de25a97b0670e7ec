public import GuestMemory

/// The addresses that are the same in every machine.
extension MemoryMap {
  /// The least RAM that a machine is built with: 16 MiB.
  public static var minimumSize: UInt64 { 16 << 20 }
  /// The first address above the real-mode address space.
  public static var oneMebibyte: GuestAddress { GuestAddress(0x10_0000) }
  /// The extended BIOS data area, the last kilobyte of conventional memory.
  public static var extendedBIOSData: Range<GuestAddress> {
    GuestAddress(0x9_FC00)..<GuestAddress(0xA_0000)
  }
  /// Where the ACPI tables are; the RSDP is the first of them.
  ///
  /// (ACPI Specification 6.5, 5.2.5.1: it is searched for in 0xE0000 to 0xFFFFF at 16-byte steps.)
  public static var acpiTables: Range<GuestAddress> {
    GuestAddress(0xE_0000)..<GuestAddress(0x10_0000)
  }
  /// Where 32-bit BARs are placed.
  public static var pciWindow32: Range<GuestAddress> {
    GuestAddress(0xC000_0000)..<GuestAddress(0xE000_0000)
  }
  /// Where port BARs are placed, of devices that other processes bring.
  public static var pciPorts: Range<UInt64> { 0xC000..<0x1_0000 }
  /// The memory-mapped configuration space of PCI bus 0: 4 KiB for each of 256 functions.
  public static var ecam: Range<GuestAddress> {
    GuestAddress(0xE000_0000)..<GuestAddress(0xE010_0000)
  }
  /// The transports of virtio-mmio devices, one after the other up to the I/O APIC.
  public static var virtioMMIO: Range<GuestAddress> {
    GuestAddress(0xFEB0_0000)..<GuestAddress(0xFEC0_0000)
  }
  /// The length of one virtio-mmio transport in bytes.
  public static var virtioMMIOSlotSize: UInt64 { 0x1000 }
  /// The I/O APIC's registers.
  public static var ioAPIC: Range<GuestAddress> {
    GuestAddress(0xFEC0_0000)..<GuestAddress(0xFEC0_1000)
  }
  /// The local APICs' registers, and where message-signalled interrupts are written.
  public static var localAPIC: Range<GuestAddress> {
    GuestAddress(0xFEE0_0000)..<GuestAddress(0xFEF0_0000)
  }
  /// The four pages that KVM keeps for itself on Intel processors without unrestricted guests.
  public static var kvmPages: Range<GuestAddress> {
    GuestAddress(0xFFFB_C000)..<GuestAddress(0xFFFC_0000)
  }
  /// The page for `KVM_SET_IDENTITY_MAP_ADDR`.
  public static var kvmIdentityMap: GuestAddress { kvmPages.lowerBound }
  /// The first of the three pages for `KVM_SET_TSS_ADDR`.
  public static var kvmTaskState: GuestAddress { kvmPages.lowerBound &+ 0x1000 }
  /// Where RAM goes on above the devices.
  public static var highRAMStart: GuestAddress { GuestAddress(0x1_0000_0000) }
}

extension Range<GuestAddress> {
  /// The length of the range in bytes.
  public var byteCount: UInt64 { upperBound.rawValue - lowerBound.rawValue }
}
