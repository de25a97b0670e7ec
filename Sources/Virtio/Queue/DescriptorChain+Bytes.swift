public import GuestMemory

/// Getting at the bytes of a chain. None of these can fail: they move fewer bytes where the chain ends.
extension DescriptorChain {
  /// Copies readable bytes until `buffer` is full or the readable part ends.
  ///
  /// - Returns: The number of bytes copied.
  public mutating func read(into buffer: inout MutableRawSpan) -> Int {
    var done = 0
    while let run = takeReadable(atMost: UInt64(buffer.byteCount - done)) {
      let count = Int(run.count)
      var part = buffer._mutatingExtracting(done..<(done + count))
      guard (try? memory.read(at: run.address, into: &part)) != nil else { break }
      done += count
    }
    return done
  }

  /// Reads a little-endian word, or nothing where fewer bytes are left.
  public mutating func readWord<Word: FixedWidthInteger & UnsignedInteger>(
    _ type: Word.Type = Word.self
  ) -> Word? {
    let size = Word.bitWidth / 8
    guard readableCount >= UInt64(size) else { return nil }
    guard !memory.notesWrites else { return readWordAtOnce() }
    var word: Word = 0
    var shift = 0
    while shift < Word.bitWidth, let run = takeReadable(atMost: UInt64(size - shift / 8)) {
      for index in 0..<run.count {
        guard let byte = try? memory.load8(at: run.address &+ index) else { return nil }
        word |= Word(truncatingIfNeeded: byte) << shift
        shift += 8
      }
    }
    return word
  }

  /// Reads a word that there is, all of it with as few accesses as it has runs: each may be a message.
  private mutating func readWordAtOnce<Word: FixedWidthInteger & UnsignedInteger>() -> Word? {
    var bytes = [UInt8](repeating: 0, count: Word.bitWidth / 8)
    guard read(into: &bytes) == bytes.count else { return nil }
    return bytes.reversed().reduce(0) { $0 << 8 | Word(truncatingIfNeeded: $1) }
  }

  /// Copies the first `count` of `bytes`, or all, into the writable part until they or it end.
  ///
  /// - Returns: The number of bytes copied.
  @discardableResult
  public mutating func write(_ bytes: RawSpan, count: Int = .max) -> Int {
    let wanted = min(max(count, 0), bytes.byteCount)
    var done = 0
    while let run = takeWritable(atMost: UInt64(wanted - done)) {
      let count = Int(run.count)
      let part = bytes.extracting(done..<(done + count))
      guard (try? memory.write(part, at: run.address)) != nil else { break }
      done += count
    }
    return done
  }

  /// Copies the first `count` of `bytes`, or all, into the writable part until they or it end.
  ///
  /// - Returns: The number of bytes copied.
  @discardableResult
  public mutating func write(_ bytes: [UInt8], count: Int = .max) -> Int {
    // SAFETY: `UInt8` has no padding.
    unsafe write(bytes.span.bytes, count: count)
  }

  /// Copies readable bytes until `buffer` is full or the readable part ends.
  ///
  /// - Returns: The number of bytes copied.
  public mutating func read(into buffer: inout [UInt8]) -> Int {
    var span = buffer.mutableSpan
    // SAFETY: every byte pattern is a `UInt8`.
    var bytes = unsafe span.mutableBytes
    return read(into: &bytes)
  }

  /// Writes one byte, if there is room.
  @discardableResult
  public mutating func write(_ byte: UInt8) -> Bool {
    while let run = takeWritable(atMost: 1) {
      // Buffers without a byte are passed over.
      guard run.count == 1 else { continue }
      return (try? memory.store8(byte, at: run.address)) != nil
    }
    return false
  }

  /// Passes over at most `count` readable bytes.
  public mutating func skipReadable(_ count: UInt64) {
    var left = count
    while let run = takeReadable(atMost: left) { left -= run.count }
  }

  /// Passes over at most `count` writable bytes, which stay as they are.
  public mutating func skipWritable(_ count: UInt64) {
    var left = count
    while let run = takeWritable(atMost: left) { left -= run.count }
  }

  /// Adds at most `count` readable bytes to `vector`, for host I/O straight from guest RAM.
  ///
  /// - Returns: The number of bytes added.
  @discardableResult
  public mutating func appendReadable(to vector: inout GuestIOVector, count: UInt64) -> UInt64 {
    var left = count
    while let run = takeReadable(atMost: left) {
      guard (try? vector.append(run.address, count: run.count, isRead: true)) != nil else { break }
      left -= run.count
    }
    return count - left
  }

  /// Adds at most `count` writable bytes to `vector`, for host I/O straight into guest RAM.
  ///
  /// - Returns: The number of bytes added.
  @discardableResult
  public mutating func appendWritable(to vector: inout GuestIOVector, count: UInt64) -> UInt64 {
    var left = count
    while let run = takeWritable(atMost: left) {
      guard (try? vector.append(run.address, count: run.count)) != nil else { break }
      left -= run.count
    }
    return count - left
  }
}
