/// Bulk copies between guest RAM and private memory.
///
/// Either all of the range is RAM and all of it is copied, or nothing is.
extension GuestMemory {
  /// Copies guest bytes from `address` until `buffer` is full.
  public func read(
    at address: GuestAddress,
    into buffer: inout MutableRawSpan
  ) throws(GuestMemoryError) {
    try check(address, count: UInt64(buffer.byteCount))
    var done = 0
    while done < buffer.byteCount {
      let (place, left) = (address &+ UInt64(done), UInt64(buffer.byteCount - done))
      guard let run = unsafe try? run(at: place, atMost: left) else {
        done += try readDistant(at: place, into: &buffer, from: done)
        continue
      }
      unsafe buffer.withUnsafeMutableBytes { destination in
        // SAFETY: `run.count` bytes are left in the buffer from `done`, and in RAM.
        unsafe destination.baseAddress.unsafelyUnwrapped.advanced(by: done)
          .copyMemory(from: run.baseAddress.unsafelyUnwrapped, byteCount: run.count)
      }
      done += run.count
    }
  }

  /// Copies `count` guest bytes from `address` into a new array.
  public func read(at address: GuestAddress, count: Int) throws(GuestMemoryError) -> [UInt8] {
    try check(address, count: UInt64(count))
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    // SAFETY: every byte pattern is a `UInt8`.
    var raw = unsafe span.mutableBytes
    try read(at: address, into: &raw)
    return bytes
  }

  /// Copies `bytes` to guest RAM from `address` on.
  public func write(_ bytes: RawSpan, at address: GuestAddress) throws(GuestMemoryError) {
    try check(address, count: UInt64(bytes.byteCount))
    var done = 0
    while done < bytes.byteCount {
      let (place, left) = (address &+ UInt64(done), UInt64(bytes.byteCount - done))
      guard let run = unsafe try? run(at: place, atMost: left) else {
        done += try writeDistant(bytes, from: done, at: place)
        continue
      }
      unsafe bytes.withUnsafeBytes { source in
        // SAFETY: `run.count` bytes are left in `bytes` from `done`, and in RAM.
        unsafe run.baseAddress.unsafelyUnwrapped.copyMemory(
          from: source.baseAddress.unsafelyUnwrapped.advanced(by: done),
          byteCount: run.count
        )
      }
      done += run.count
    }
    noteWrite(address, count: UInt64(bytes.byteCount))
  }

  /// Copies `bytes` to guest RAM from `address` on.
  public func write(_ bytes: [UInt8], at address: GuestAddress) throws(GuestMemoryError) {
    // SAFETY: `UInt8` has no padding.
    try unsafe write(bytes.span.bytes, at: address)
  }

  /// Writes `count` zero bytes from `address` on.
  public func zero(_ address: GuestAddress, count: UInt64) throws(GuestMemoryError) {
    try check(address, count: count)
    var done: UInt64 = 0
    while done < count {
      guard let run = unsafe try? run(at: address &+ done, atMost: count - done) else {
        done += try zeroDistant(address &+ done, atMost: count - done)
        continue
      }
      unsafe run.initializeMemory(as: UInt8.self, repeating: 0)
      done += UInt64(run.count)
    }
    noteWrite(address, count: count)
  }

  private func readDistant(
    at address: GuestAddress,
    into buffer: inout MutableRawSpan,
    from done: Int
  ) throws(GuestMemoryError) -> Int {
    let left = min(UInt64(buffer.byteCount - done), DistantMemory.step)
    let run = try distantRun(at: address, atMost: left)
    let bytes = try run.memory.read(at: address, count: run.count)
    unsafe buffer.withUnsafeMutableBytes { target in
      // SAFETY: as many bytes are left in the buffer from `done`.
      unsafe UnsafeMutableRawBufferPointer(rebasing: target[done...]).copyBytes(from: bytes)
    }
    return bytes.count
  }

  private func writeDistant(
    _ bytes: RawSpan,
    from done: Int,
    at address: GuestAddress
  ) throws(GuestMemoryError) -> Int {
    let left = min(UInt64(bytes.byteCount - done), DistantMemory.step)
    let run = try distantRun(at: address, atMost: left)
    let part = unsafe bytes.withUnsafeBytes { source in
      // SAFETY: as many bytes are left in `bytes` from `done`.
      unsafe Array(source[done..<done + Int(run.count)])
    }
    try run.memory.write(part, at: address)
    return part.count
  }

  private func zeroDistant(
    _ address: GuestAddress,
    atMost count: UInt64
  ) throws(GuestMemoryError) -> UInt64 {
    let run = try distantRun(at: address, atMost: min(count, DistantMemory.step))
    try run.memory.write([UInt8](repeating: 0, count: Int(run.count)), at: address)
    return run.count
  }

  private func check(_ address: GuestAddress, count: UInt64) throws(GuestMemoryError) {
    guard contains(address, count: count) else {
      throw GuestMemoryError(address: address, count: count)
    }
  }
}
