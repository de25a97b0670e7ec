import GuestMemory

/// Where boot data goes in conventional memory, which every guest has and none is loaded over.
///
/// A kernel copies what it wants to keep before it uses this memory for itself. Page 8 is left
/// free: kernels like to put the start-up code of further CPUs there.
enum BootLayout {
  /// The BIOS data area (IBM PS/2 and PC BIOS Technical Reference, section 3).
  static var biosData: GuestAddress { GuestAddress(0x400) }
  /// The first CPU's descriptor table.
  static var descriptorTable: GuestAddress { GuestAddress(0x500) }
  /// PVH's start information, its module list and its memory map.
  static var startInfo: GuestAddress { GuestAddress(0x6000) }
  /// Linux's `boot_params`, one page.
  static var zeroPage: GuestAddress { GuestAddress(0x7000) }
  /// The identity page tables, six pages.
  static var pageTable: GuestAddress { GuestAddress(0x9000) }
  /// Multiboot's information, where nothing is loaded over it.
  static var multibootInfo: GuestAddress { GuestAddress(0x9000) }
  /// The command line with its NUL, 64 KiB.
  static var commandLine: Range<GuestAddress> { GuestAddress(0x2_0000)..<GuestAddress(0x3_0000) }
  /// The lowest address that a kernel may be loaded to: below are vectors, BIOS data and our GDT.
  static var lowestLoad: GuestAddress { GuestAddress(0x1000) }
}
