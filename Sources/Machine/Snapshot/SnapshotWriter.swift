import HostOS

/// Writes the sections of a saved machine's file, one after the other.
struct SnapshotWriter {
  /// How many bytes there are up to now.
  private(set) var size: UInt64 = 0
  private let number: Int32
  private var sectionCount: UInt32 = 0

  /// Begins the file behind the descriptor `number`, which the caller keeps open.
  init(to number: Int32) throws(SystemError) {
    self.number = number
    try put(
      SnapshotSection.magic + SnapshotSection.little(SnapshotSection.version) + [0, 0, 0, 0]
    )
  }

  /// Writes a section.
  mutating func write(
    _ name: SnapshotSection.Name,
    number: UInt32 = 0,
    _ bytes: [UInt8]
  ) throws(SystemError) {
    precondition(bytes.count <= SnapshotSection.sizeLimit, "\(bytes.count) bytes of \(name)")
    try put(SnapshotSection.header(name, number, bytes))
    try put(bytes)
    sectionCount += 1
  }

  /// Writes the last section.
  mutating func finish() throws(SystemError) {
    try write(.end, SnapshotSection.little(sectionCount))
  }

  private mutating func put(_ bytes: [UInt8]) throws(SystemError) {
    try FileIO.writeAll(number, bytes)
    size += UInt64(bytes.count)
  }
}
