import GuestMemory

/// The information structure that EBX points to, with all that it points to, in one block.
///
/// (Multiboot Specification 0.6.96, 3.3.) The block starts with the structure, then come the
/// modules, the memory map and the strings.
enum MultibootInfo {
  private static var headerCount: Int { 120 }
  private static var moduleCount: Int { 16 }
  private static var entryCount: Int { 24 }
  private static var loaderName: String { "Apus" }

  /// The length of the whole block in bytes.
  static func count(_ map: MemoryMap, _ texts: [String], _ line: String) -> UInt64 {
    let strings = (texts + [line, loaderName]).reduce(0) { $0 + $1.utf8.count + 1 }
    let tables = texts.count * moduleCount + map.e820.count * entryCount
    return UInt64(headerCount + tables + strings)
  }

  /// The block, for the address that it will have.
  static func bytes(
    at address: GuestAddress,
    _ map: MemoryMap,
    modules: [(range: Range<GuestAddress>, text: String)],
    _ line: String
  ) -> [UInt8] {
    let base = UInt32(truncatingIfNeeded: address.rawValue)
    let moduleTable = base + UInt32(headerCount)
    let memoryMap = moduleTable + UInt32(modules.count * moduleCount)
    let entries = map.e820
    var strings = BootRecord()
    let stringsBase = memoryMap + UInt32(entries.count * entryCount)
    func intern(_ text: String) -> UInt32 {
      defer { strings.append(terminated: text) }
      return stringsBase + UInt32(strings.bytes.count)
    }

    var header = BootRecord(count: headerCount)
    // 0 memory, 2 command line, 3 modules, 6 memory map, 9 boot loader name.
    header.store(0b10_0100_1101 as UInt32, at: 0)
    let lower = MemoryMap.extendedBIOSData.lowerBound.rawValue >> 10
    let upper = (map.lowRAM.upperBound.rawValue - MemoryMap.oneMebibyte.rawValue) >> 10
    header.store(UInt32(truncatingIfNeeded: lower), at: 4)
    header.store(UInt32(truncatingIfNeeded: upper), at: 8)
    header.store(intern(line), at: 16)
    header.store(UInt32(modules.count), at: 20)
    header.store(moduleTable, at: 24)
    header.store(UInt32(entries.count * entryCount), at: 44)
    header.store(memoryMap, at: 48)
    header.store(intern(loaderName), at: 64)

    var tables = BootRecord()
    for module in modules {
      tables.append(UInt32(truncatingIfNeeded: module.range.lowerBound.rawValue))
      tables.append(UInt32(truncatingIfNeeded: module.range.upperBound.rawValue))
      tables.append(intern(module.text))
      tables.append(0 as UInt32)  // reserved
    }
    for entry in entries {
      tables.append(UInt32(entryCount - 4))  // the size does not count itself
      tables.append(entry.range.lowerBound.rawValue)
      tables.append(entry.range.byteCount)
      tables.append(entry.kind.rawValue)
    }
    return header.bytes + tables.bytes + strings.bytes
  }
}
