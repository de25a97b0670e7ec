import CLinux
import GuestMemory
import HostOS
import PCI
import Virtio

/// Memory that a server offers for the guest to reach by itself.
extension VfioUserFunction {
  // More than any device has.
  private static var areaLimit: Int { 64 }

  /// Asks for the memory of all BARs, and maps it here.
  ///
  /// What cannot be mapped is reached by message, which the log says.
  ///
  /// - Throws: ``VfioUserError`` for what no server of good will says; the connection is to be ended.
  func memoryAreas(
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> [PCIMemoryAreas.Area] {
    guard areas.isUsed else { return [] }
    var result: [PCIMemoryAreas.Area] = []
    for bar in shape.bars {
      guard let size = shape.sizes[bar.index] else { continue }
      let question = VfioUserRegionInfo(
        index: UInt32(bar.index),
        argumentSize: UInt32(VfioUserRegionInfo.count(areas: Self.areaLimit))
      )
      var answer = try connection.ask(.getRegionInfo(question), deadline: deadline)
      guard case .regionInfo(let info) = answer.reply, info.index == question.index else {
        throw connection.end(.badValue(.getRegionInfo, "another region than \(bar.index)"))
      }
      guard info.flags & VfioUserRegionInfo.mapFlag != 0,
        let file = answer.descriptors.takeFirst()
      else { continue }
      let ranges = try self.ranges(info, size, connection)
      // A page of the table is the monitor's.
      let free = ranges.filter { !isTable($0, of: bar.index) }
      result += map(free, of: bar.index, file, from: info.offset)
    }
    return result
  }

  /// The parts, of which each has to be a part of the region, in whole pages, and none of another.
  private func ranges(
    _ info: VfioUserRegionInfo,
    _ size: UInt64,
    _ connection: VfioUserLink
  ) throws(VfioUserError) -> [Range<UInt64>] {
    var areas = info.areas
    if areas.isEmpty, info.flags & VfioUserRegionInfo.capabilityFlag == 0 {
      areas = [VfioUserRegionInfo.Area(offset: 0, size: size & ~(GuestMemory.pageSize - 1))]
    }
    var end: UInt64 = 0
    var ranges: [Range<UInt64>] = []
    for area in areas.sorted(by: { $0.offset < $1.offset }) where area.size > 0 {
      guard area.offset >= end, area.offset <= size, area.size <= size - area.offset,
        (area.offset | area.size | info.offset) % GuestMemory.pageSize == 0,
        info.offset <= UInt64(Int64.max) - size, ranges.count < Self.areaLimit
      else {
        throw connection.end(
          .badValue(
            .getRegionInfo,
            "\(area.size) bytes to map at \(area.offset) of region \(info.index), which has \(size)"
          )
        )
      }
      end = area.offset + area.size
      ranges.append(area.offset..<end)
    }
    return ranges
  }

  private func isTable(_ range: Range<UInt64>, of bar: Int) -> Bool {
    guard let msix = shape.msix, msix.table.bar == bar else { return false }
    let table = msix.table.offset..<msix.table.offset + MSIX.tableSize(msix.vectorCount)
    let pending = msix.pending.offset..<msix.pending.offset + MSIX.pendingSize(msix.vectorCount)
    return range.overlaps(table) || range.overlaps(pending)
  }

  /// Maps parts of a file that nobody can cut short: a page that is gone would end the guest's processor.
  private func map(
    _ ranges: [Range<UInt64>],
    of bar: Int,
    _ file: borrowing OwnedFileDescriptor,
    from offset: UInt64
  ) -> [PCIMemoryAreas.Area] {
    guard apus_is_size_sealed(file.rawValue) == 1 else {
      log.warning("server: the memory of BAR \(bar) can be cut short, and is not mapped")
      return []
    }
    var result: [PCIMemoryAreas.Area] = []
    for range in ranges {
      do {
        let mapping = try SharedMapping(
          of: file,
          offset: offset + range.lowerBound,
          count: UInt64(range.count),
          fault: try EventFD()
        )
        let region = SharedRegion(start: GuestAddress(range.lowerBound), mapping: mapping)
        result.append(
          PCIMemoryAreas.Area(bar: bar, range: range, memory: GuestMemory(shared: [region]))
        )
      } catch {
        log.warning("server: the memory of BAR \(bar) is not mapped: \(error)")
      }
    }
    return result
  }
}
