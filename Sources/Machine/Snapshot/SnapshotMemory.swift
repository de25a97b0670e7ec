import GuestMemory

/// RAM in a saved machine's file: runs of pages that are not all zero, each with its address before it.
enum SnapshotMemory {
  /// The most bytes of a run.
  static var runLimit: UInt64 { 1 << 20 }

  /// Writes all of `memory` that is not zero; nobody changes it meanwhile.
  static func write(_ memory: GuestMemory, to writer: inout SnapshotWriter) throws {
    var number: UInt32 = 0
    try memory.forEachPopulatedRange(limit: runLimit) { address, count in
      let bytes = try memory.read(at: address, count: Int(count))
      for run in runs(of: bytes) {
        let start = address &+ UInt64(run.lowerBound)
        try writer.write(.memory, number: number, header(start) + bytes[run])
        number &+= 1
      }
    }
  }

  /// Reads into fresh, zeroed memory, up to what is no RAM any more.
  static func read(from reader: SnapshotReader, into memory: GuestMemory) throws {
    var number: UInt32 = 0
    var end: UInt64 = 0
    while try reader.peek().name == .memory {
      let section = try reader.read(.memory, number: number)
      guard section.bytes.count >= 8 else {
        throw SnapshotError.section(offset: section.offset, reason: "RAM without an address")
      }
      let address = section.bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
      let bytes = Array(section.bytes.dropFirst(8))
      // In order and each once: nothing is written twice.
      guard address >= end, !bytes.isEmpty,
        memory.contains(GuestAddress(address), count: UInt64(bytes.count))
      else {
        throw SnapshotError.section(
          offset: section.offset,
          reason: "\(bytes.count) bytes of RAM at \(hex(address)), where there is none,"
        )
      }
      try memory.write(bytes, at: GuestAddress(address))
      end = address &+ UInt64(bytes.count)
      number &+= 1
    }
  }

  private static func header(_ address: GuestAddress) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: address.rawValue >> UInt64(8 * $0)) }
  }

  /// The runs of whole pages that are not zero.
  static func runs(of bytes: [UInt8]) -> [Range<Int>] {
    let size = Int(GuestMemory.pageSize)
    var runs: [Range<Int>] = []
    for start in stride(from: 0, to: bytes.count, by: size) where !isZero(bytes, start, size) {
      if let last = runs.last, last.upperBound == start {
        runs[runs.count - 1] = last.lowerBound..<start + size
      } else {
        runs.append(start..<start + size)
      }
    }
    return runs
  }

  private static func isZero(_ bytes: [UInt8], _ start: Int, _ count: Int) -> Bool {
    let span = bytes.span.extracting(start..<start + count)
    for index in span.indices where span[index] != 0 { return false }
    return true
  }
}
