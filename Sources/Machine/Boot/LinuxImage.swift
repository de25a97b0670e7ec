import GuestMemory

/// The setup header of a bzImage, checked for what the 64-bit entry needs.
///
/// (Linux `Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header".)
struct LinuxImage: Sendable {
  /// The header as it is copied into the zero page, from 0x1F1 on.
  let setupHeader: [UInt8]
  /// The protocol version, such as 0x20F.
  let version: UInt16
  /// Where the protected-mode kernel starts in the file; it goes on to the end.
  let payloadOffset: UInt64
  /// The bytes that the kernel occupies from its address until it has read its memory map.
  let initSize: UInt64
  /// Where the kernel is loaded.
  let address: GuestAddress
  /// The longest command line in bytes, without its NUL.
  let commandLineLimit: Int
  /// The last address that a byte of the initrd may have.
  let initrdAddressMax: UInt64

  /// Where the header starts in the file and in the zero page.
  static var headerOffset: Int { 0x1F1 }
  /// Where the next field after the longest header starts in the zero page (`zero-page.rst`).
  private static var headerEnd: Int { 0x290 }

  /// Whether the bytes have both signatures of a bzImage.
  static func isBzImage(_ prefix: [UInt8]) -> Bool {
    let header = HeaderView(bytes: prefix)
    return header.load(0x1FE, as: UInt16.self) == 0xAA55
      && header.load(0x202, as: UInt32.self) == 0x5372_6448  // "HdrS"
  }

  /// Reads the header of `file`.
  init(_ file: BootFile) throws(BootError) {
    let path = file.path
    // The fields up to init_size end at 0x264; version 2.12 has them all.
    let header = HeaderView(
      bytes: try file.bytes(at: 0, count: 0x264, what: "the bzImage header")
    )
    version = header.load(0x206)
    guard version >= 0x20C else {
      throw .unsupported(
        path: path,
        problem: "a bzImage of boot protocol \(version >> 8).\(version & 0xFF); the 64-bit entry "
          + "needs 2.12 (Linux 3.8) or later"
      )
    }
    // XLF_KERNEL_64: "the legacy 64-bit entry point at 0x200" is there.
    guard header.load(0x236, as: UInt16.self) & 1 != 0 else {
      throw .unsupported(
        path: path,
        problem: "a 32-bit kernel: it has no 64-bit entry; use a 64-bit one"
      )
    }
    guard header.load(0x211, as: UInt8.self) & 1 != 0 else {
      throw .unsupported(path: path, problem: "a zImage, which loads below 1 MiB; use a bzImage")
    }

    // "If the setup_sects field contains 0, the real value is 4"; the boot sector comes on top.
    let sectors: UInt8 = header.load(0x1F1)
    payloadOffset = (sectors == 0 ? 5 : UInt64(sectors) + 1) * 512
    // syssize counts 16-byte paragraphs, the last of them perhaps not full.
    let promised = UInt64(header.load(0x1F4, as: UInt32.self)) * 16
    guard file.count > payloadOffset, promised <= file.count - payloadOffset + 15 else {
      throw .truncated(
        path: path,
        what: "the kernel",
        needed: payloadOffset + max(promised, 1),
        size: file.count
      )
    }

    // The header ends where its own jump instruction goes: "0x0202 + byte value at offset 0x0201".
    let end = min(0x202 + Int(header.load(0x201, as: UInt8.self)), Self.headerEnd)
    guard end >= 0x264 else {
      throw .malformed(path: path, problem: "the bzImage header ends at \(end), before init_size")
    }
    let bytes = try file.bytes(at: 0, count: end, what: "the bzImage header")
    setupHeader = Array(bytes[Self.headerOffset...])

    let alignment = UInt64(header.load(0x230, as: UInt32.self))
    let isRelocatable = header.load(0x234, as: UInt8.self) != 0
    let preferred: UInt64 = header.load(0x258)
    guard alignment.nonzeroBitCount == 1 || !isRelocatable else {
      throw .malformed(path: path, problem: "kernel_alignment \(alignment) is no power of two")
    }
    // A relocatable kernel moves itself up to pref_address when it is loaded below, so nothing is
    // won by a lower place; one that is not runs nowhere else.
    let lowest = MemoryMap.oneMebibyte.rawValue
    guard isRelocatable || preferred >= lowest else {
      throw .malformed(path: path, problem: "pref_address \(preferred) is below 1 MiB")
    }
    let floor = max(preferred, lowest)
    guard floor < MemoryMap.highRAMStart.rawValue else {
      throw .beyondMemory(
        item: path,
        end: floor,
        memoryEnd: MemoryMap.pciWindow32.lowerBound.rawValue
      )
    }
    let aligned = isRelocatable ? (floor + alignment - 1) & ~(alignment - 1) : floor
    address = GuestAddress(aligned)
    initSize = max(UInt64(header.load(0x260, as: UInt32.self)), file.count - payloadOffset)
    let limit: UInt32 = header.load(0x238)
    commandLineLimit = Int(min(UInt64(limit), BootLayout.commandLine.byteCount - 1))
    initrdAddressMax = UInt64(header.load(0x22C, as: UInt32.self))
  }
}
