import GuestMemory

/// The initrd: one file, or several put together as Linux unpacks them.
struct InitialRAMDisk: Sendable {
  private let files: [BootFile]

  /// Archives start at multiples of 4 bytes, with zeros between
  /// (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).
  private static var alignment: UInt64 { 4 }

  /// Opens the files at `paths`; `nil` if there are none.
  init?(opening paths: [String]) throws(BootError) {
    guard !paths.isEmpty else { return nil }
    var files: [BootFile] = []
    for path in paths {
      let file = try BootFile(opening: path)
      guard file.count > 0 else { throw .emptyFile(path: path) }
      files.append(file)
    }
    self.files = files
  }

  /// Loads all of it, page-aligned, as high as it goes in the addresses from `lowest` to `limit`.
  ///
  /// High, because a kernel grows upwards from its own address while it starts.
  func load(
    into memory: GuestMemory,
    above lowest: UInt64,
    below limit: UInt64
  ) throws(BootError) -> Range<GuestAddress> {
    var count: UInt64 = 0
    for file in files {
      let start = (count + Self.alignment - 1) & ~(Self.alignment - 1)
      let (end, overflow) = start.addingReportingOverflow(file.count)
      guard !overflow, end <= limit else { throw noRoom(lowest, limit) }
      count = end
    }
    let start = (limit - count) & ~(GuestMemory.pageSize - 1)
    guard start >= lowest else { throw noRoom(lowest, limit) }

    var next = GuestAddress(start)
    for file in files {
      let aligned = (next.rawValue + Self.alignment - 1) & ~(Self.alignment - 1)
      try memory.clear(next, count: aligned - next.rawValue, file.path)
      next = GuestAddress(aligned)
      try file.load(from: 0, count: file.count, into: memory, at: next, what: "the file")
      next = next &+ file.count
    }
    return GuestAddress(start)..<next
  }

  private func noRoom(_ lowest: UInt64, _ limit: UInt64) -> BootError {
    let total = files.reduce(UInt64(0)) { $0.addingReportingOverflow($1.count).partialValue }
    let names = files.map(\.path).joined(separator: ", ")
    return .noRoom(item: "initrd \(names)", count: total, lowest: lowest, limit: limit)
  }
}
