import CLinux
import GuestMemory
import Glibc
import HostOS

/// What every loader writes.
extension GuestMemory {
  /// Copies a structure into guest memory; the caller has made sure that it is RAM.
  func place(_ bytes: [UInt8], at address: GuestAddress, _ item: String) throws(BootError) {
    do throws(GuestMemoryError) { try write(bytes, at: address) } catch {
      let end = regions.first?.end.rawValue ?? 0
      throw .beyondMemory(
        item: item,
        end: address.rawValue &+ UInt64(bytes.count),
        memoryEnd: end
      )
    }
  }

  /// Makes `count` bytes at `address` zero without touching pages that are zero already.
  ///
  /// The pages inside the range are given back to the host (fallocate(2), FALLOC_FL_PUNCH_HOLE) and
  /// read as zero afterwards, so that the memory of a fresh guest stays unused and that of one that
  /// was reset becomes so again.
  func clear(_ address: GuestAddress, count: UInt64, _ item: String) throws(BootError) {
    let end = address.rawValue &+ count
    let first = (address.rawValue &+ 4095) & ~4095
    let last = end & ~4095
    do throws(GuestMemoryError) {
      guard first < last, punch(GuestAddress(first), count: last - first) else {
        try zero(address, count: count)
        return
      }
      try zero(address, count: first - address.rawValue)
      try zero(GuestAddress(last), count: end - last)
    } catch {
      throw .beyondMemory(item: item, end: end, memoryEnd: regions.first?.end.rawValue ?? 0)
    }
  }

  /// Gives pages back to the host; false if the range is not in one region or the host refuses.
  private func punch(_ address: GuestAddress, count: UInt64) -> Bool {
    for region in regions where region.start <= address && address < region.end {
      let offset = address.rawValue - region.start.rawValue
      guard count <= region.count - offset,
        let position = Int(exactly: region.fileOffset + offset), let size = Int(exactly: count)
      else { return false }
      // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h.
      return file.borrow { apus_fallocate($0.rawValue, 0x1 | 0x2, position, size) == 0 } ?? false
    }
    return false
  }

  /// Writes the descriptor table of `state` and the words of the BIOS data area that guests read.
  func placeMachineState(_ state: CPUStartState) throws(BootError) {
    var table = BootRecord()
    for descriptor in state.gdt { table.append(descriptor) }
    try place(table.bytes, at: state.gdtBase, "descriptor table")
    // The extended BIOS data area's segment (40:0E) and the kilobytes of memory below it (40:13),
    // where an OS looks before it uses the last pages of conventional memory.
    var segment = BootRecord()
    segment.append(UInt16(MemoryMap.extendedBIOSData.lowerBound.rawValue >> 4))
    try place(segment.bytes, at: BootLayout.biosData &+ 0x0E, "BIOS data")
    var kilobytes = BootRecord()
    kilobytes.append(UInt16(MemoryMap.extendedBIOSData.lowerBound.rawValue >> 10))
    try place(kilobytes.bytes, at: BootLayout.biosData &+ 0x13, "BIOS data")
  }

  /// Maps the first 4 GiB to itself in 2 MiB pages, present and writable.
  ///
  /// (Intel SDM volume 3, 4.5.4.) 1 GiB pages would be shorter, but not every processor has them.
  func placeIdentityPageTable(at table: GuestAddress) throws(BootError) {
    let presentWritable: UInt64 = 0x3
    let largePage: UInt64 = 0x80
    var pages = [UInt64](repeating: 0, count: 6 * 512)
    pages[0] = (table.rawValue + 4096) | presentWritable
    for gibibyte in 0..<4 {
      pages[512 + gibibyte] = (table.rawValue + UInt64(2 + gibibyte) * 4096) | presentWritable
    }
    for index in 0..<2048 {
      pages[2 * 512 + index] = UInt64(index) << 21 | presentWritable | largePage
    }
    for index in pages.indices { pages[index] = pages[index].littleEndian }
    do throws(GuestMemoryError) {
      // SAFETY: `UInt64` has no padding.
      try unsafe write(pages.span.bytes, at: table)
    } catch {
      let end = regions.first?.end.rawValue ?? 0
      throw .beyondMemory(item: "page tables", end: table.rawValue, memoryEnd: end)
    }
  }
}
