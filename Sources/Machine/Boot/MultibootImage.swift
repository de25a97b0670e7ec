import GuestMemory

/// A Multiboot image: what to load where, and its entry.
struct MultibootImage: Sendable {
  /// The segments, by ascending address, without overlap.
  let segments: [ELFImage.Segment]
  /// The first instruction.
  let entry: UInt32

  /// How far into a file the header is looked for (Multiboot Specification 0.6.96, 3.1).
  static var searchLimit: Int { 8192 }

  /// Reads the rest of an image whose header was found.
  init(_ file: BootFile, _ header: MultibootHeader) throws(BootError) {
    // 3.1.2: of bits 0 to 15, a loader that "does not understand or cannot fulfill" one "must notify
    // the user and fail". Modules are always page-aligned (0) and the memory map there (1).
    let required = header.flags & 0xFFFF & ~0b11
    guard required == 0 else {
      let video = required & 0b100 != 0 ? " (bit 2: a video mode; this machine has no display)" : ""
      throw .unsupported(
        path: file.path,
        problem: "a Multiboot image that requires flags 0x\(String(required, radix: 16)), "
          + "which cannot be met\(video)"
      )
    }
    if let addresses = header.addresses {
      segments = [try Self.segment(file, header.offset, addresses)]
      entry = addresses.entry
    } else {
      guard ELFImage.isELF(try file.prefix(4)) else {
        throw .malformed(
          path: file.path,
          problem: "a Multiboot header without addresses in a file that is no ELF"
        )
      }
      let image = try ELFImage(file)
      segments = image.segments
      guard let start = UInt32(exactly: image.entry) else {
        throw .malformed(
          path: file.path,
          problem: "the entry 0x\(String(image.entry, radix: 16)) is above 4 GiB"
        )
      }
      entry = start
    }
    let start = GuestAddress(UInt64(entry))
    guard segments.contains(where: { $0.range.contains(start) }) else {
      throw .malformed(path: file.path, problem: "the entry \(start) is not in the image")
    }
  }

  /// The one segment that the address fields describe (3.1.3).
  private static func segment(
    _ file: BootFile,
    _ headerOffset: Int,
    _ addresses: MultibootHeader.Addresses
  ) throws(BootError) -> ELFImage.Segment {
    let load = UInt64(addresses.load)
    // The file offset at which to start is that of the header less its distance from load_addr.
    let before = UInt64(addresses.header) &- load
    guard addresses.header >= addresses.load, before <= UInt64(headerOffset) else {
      throw .malformed(
        path: file.path,
        problem: "Multiboot header_addr \(addresses.header) does not go with load_addr "
          + "\(addresses.load) and the header at byte \(headerOffset)"
      )
    }
    let offset = UInt64(headerOffset) - before
    // "If this field is zero, the boot loader assumes that the text and data segments occupy the
    // whole OS image file"; likewise for bss_end_addr, that there is no bss.
    let loadEnd = addresses.loadEnd == 0 ? load + (file.count - offset) : UInt64(addresses.loadEnd)
    let end = addresses.bssEnd == 0 ? loadEnd : UInt64(addresses.bssEnd)
    guard loadEnd > load, end >= loadEnd else {
      throw .malformed(
        path: file.path,
        problem: "Multiboot addresses out of order: load_addr \(load), load_end_addr \(loadEnd), "
          + "bss_end_addr \(end)"
      )
    }
    guard loadEnd - load <= file.count - offset else {
      throw .truncated(
        path: file.path,
        what: "the Multiboot image",
        needed: offset + (loadEnd - load),
        size: file.count
      )
    }
    return ELFImage.Segment(
      fileOffset: offset,
      fileCount: loadEnd - load,
      virtualAddress: load,
      address: GuestAddress(load),
      count: end - load
    )
  }
}
