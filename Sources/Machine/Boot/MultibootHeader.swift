/// The header by which an image says that it is for a Multiboot loader.
///
/// (Multiboot Specification 0.6.96, 3.1.)
struct MultibootHeader: Sendable {
  /// Where it is in the file.
  let offset: Int
  /// What the image requires, and whether the address fields are valid.
  let flags: UInt32
  /// header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; `nil` for an ELF image.
  let addresses: Addresses?

  /// The address fields, for images that are not ELF (flag bit 16).
  struct Addresses: Sendable {
    let header: UInt32
    let load: UInt32
    let loadEnd: UInt32
    let bssEnd: UInt32
    let entry: UInt32
  }

  /// Finds the header in the first bytes of a file.
  ///
  /// 3.1: "contained completely within the first 8192 bytes", aligned to 32 bits, and magic, flags
  /// and checksum add up to 0.
  init?(searching prefix: [UInt8]) {
    let view = HeaderView(bytes: prefix)
    for offset in stride(from: 0, through: prefix.count - 12, by: 4) where prefix[offset] == 0x02 {
      guard view.load(offset, as: UInt32.self) == 0x1BAD_B002 else { continue }
      let flags: UInt32 = view.load(offset + 4)
      guard 0x1BAD_B002 &+ flags &+ view.load(offset + 8, as: UInt32.self) == 0 else { continue }
      guard flags & 1 << 16 == 0 || offset + 32 <= prefix.count else { continue }
      self.offset = offset
      self.flags = flags
      addresses =
        flags & 1 << 16 == 0
        ? nil
        : Addresses(
          header: view.load(offset + 12),
          load: view.load(offset + 16),
          loadEnd: view.load(offset + 20),
          bssEnd: view.load(offset + 24),
          entry: view.load(offset + 28)
        )
      return
    }
    return nil
  }
}
