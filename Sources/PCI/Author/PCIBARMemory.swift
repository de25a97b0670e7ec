public import DeviceModel
public import GuestMemory
import HostOS

/// The parts of a BAR that are memory of the device's, in a file whose offsets are the BAR's.
public final class PCIBARMemory: DeviceRegionMemory {
  /// Which BAR.
  public let bar: Int
  /// The parts by ascending offset, in whole pages, without overlap.
  public let areas: [Range<UInt64>]
  /// The memory, from address 0 on; what is in no part is never used.
  public let memory: GuestMemory

  /// Makes zeroed memory for the areas of a region; no page is touched until it is used.
  ///
  /// - Throws: `SystemError` if the host cannot provide it.
  init?(_ region: PCIRegion) throws {
    guard let last = region.memory.last else { return nil }
    bar = region.bar
    areas = region.memory
    memory = try GuestMemory(count: last.upperBound)
  }

  /// Reads bytes that are all in one of the areas.
  public func read(at offset: UInt64, count: Int) -> [UInt8] {
    precondition(contains(offset, count), "\(count) bytes at \(offset) are not all memory")
    return (try? memory.read(at: GuestAddress(offset), count: count)) ?? []
  }

  /// Writes bytes that are all in one of the areas.
  public func write(_ bytes: [UInt8], at offset: UInt64) {
    precondition(
      contains(offset, bytes.count),
      "\(bytes.count) bytes at \(offset) are not all memory"
    )
    try? memory.write(bytes, at: GuestAddress(offset))
  }

  /// Whether all of the bytes are memory.
  func contains(_ offset: UInt64, _ count: Int) -> Bool {
    guard let area = areas.first(where: { $0.contains(offset) }) else { return false }
    return UInt64(count) <= area.upperBound - offset
  }

  /// Reads what a guest's instruction does; `nil` where there are registers.
  func load(_ access: BusAccess) -> UInt64? {
    guard contains(access.offset, access.width) else { return nil }
    return read(at: access.offset, count: access.width).reversed().reduce(0) {
      $0 << 8 | UInt64($1)
    }
  }

  /// Writes what a guest's instruction does.
  ///
  /// - Returns: Whether it was memory.
  func store(_ value: UInt64, _ access: BusAccess) -> Bool {
    guard contains(access.offset, access.width) else { return false }
    write(
      (0..<access.width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) },
      at: access.offset
    )
    return true
  }

  /// Zeroes all of it.
  func clear() {
    for area in areas {
      try? memory.zero(GuestAddress(area.lowerBound), count: area.upperBound - area.lowerBound)
    }
  }
}

// MARK: Its state

extension PCIBARMemory {
  /// Adds the pages that are not zero: how many, and of each its offset and its bytes.
  func save(to writer: inout FieldWriter) {
    var pages: [(offset: UInt64, bytes: [UInt8])] = []
    for area in areas {
      for offset in stride(from: area.lowerBound, to: area.upperBound, by: Int(Self.pageSize)) {
        let bytes = read(at: offset, count: Int(Self.pageSize))
        if bytes.contains(where: { $0 != 0 }) { pages.append((offset, bytes)) }
      }
    }
    writer.append(UInt32(pages.count))
    for page in pages {
      writer.append(page.offset)
      writer.append(page.bytes)
    }
  }

  /// Takes pages; the memory is zeroed before.
  func restore(from reader: inout FieldReader) throws(PCIStateError) {
    clear()
    guard let count: UInt32 = reader.take() else {
      throw PCIStateError("memory that is cut short")
    }
    for _ in 0..<count {
      guard let offset: UInt64 = reader.take(),
        let bytes = reader.take(count: Int(Self.pageSize)), offset % Self.pageSize == 0,
        contains(offset, bytes.count)
      else { throw PCIStateError("memory that is cut short or out of range") }
      write(bytes, at: offset)
    }
  }

  private static var pageSize: UInt64 { GuestMemory.pageSize }
}
