import GuestMemory

/// How the segments of an image are loaded.
extension BootFile {
  /// Loads the segments of an ELF image and clears what the file has no bytes for.
  func load(_ segments: [ELFImage.Segment], into memory: GuestMemory) throws(BootError) {
    for segment in segments {
      try load(
        from: segment.fileOffset,
        count: segment.fileCount,
        into: memory,
        at: segment.address,
        what: "the segment at \(segment.address)"
      )
      try memory.clear(
        segment.address &+ segment.fileCount,
        count: segment.count - segment.fileCount,
        path
      )
    }
  }
}
