public import Synchronization

/// Loads and stores of little-endian words, each one atomic access.
///
/// An address that is not aligned to its word is copied bytewise, hence not atomic; ring indices
/// are aligned by the standards that define them, and callers check that first where it matters.
extension GuestMemory {
  /// Loads a byte.
  @inlinable
  public func load8(at address: GuestAddress) throws(GuestMemoryError) -> UInt8 {
    let run = unsafe try run(at: address, atMost: 1)
    // SAFETY: one byte is there, and `Atomic<UInt8>` has the layout of `UInt8`.
    return unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt8>.self)
      .pointee.load(ordering: .relaxed)
  }

  /// Stores a byte.
  @inlinable
  public func store8(_ value: UInt8, at address: GuestAddress) throws(GuestMemoryError) {
    let run = unsafe try run(at: address, atMost: 1)
    // SAFETY: As for `load8(at:)`.
    unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt8>.self)
      .pointee.store(value, ordering: .relaxed)
    noteWrite(address, count: 1)
  }

  /// Loads a 16-bit word; later loads and stores stay after it (acquire).
  @inlinable
  public func load16(at address: GuestAddress) throws(GuestMemoryError) -> UInt16 {
    let run = unsafe try run(at: address, atMost: 2)
    guard unsafe isWhole(run, alignment: 2, count: 2) else { return try loadBytes(at: address) }
    // SAFETY: two aligned bytes are there, and `Atomic<UInt16>` has the layout of `UInt16`.
    let word = unsafe run.baseAddress.unsafelyUnwrapped
      .assumingMemoryBound(to: Atomic<UInt16>.self).pointee.load(ordering: .acquiring)
    return UInt16(littleEndian: word)
  }

  /// Loads a 32-bit word; later loads and stores stay after it (acquire).
  @inlinable
  public func load32(at address: GuestAddress) throws(GuestMemoryError) -> UInt32 {
    let run = unsafe try run(at: address, atMost: 4)
    guard unsafe isWhole(run, alignment: 4, count: 4) else { return try loadBytes(at: address) }
    // SAFETY: As for `load16(at:)`, of four.
    let word = unsafe run.baseAddress.unsafelyUnwrapped
      .assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
    return UInt32(littleEndian: word)
  }

  /// Loads a 64-bit word; later loads and stores stay after it (acquire).
  @inlinable
  public func load64(at address: GuestAddress) throws(GuestMemoryError) -> UInt64 {
    let run = unsafe try run(at: address, atMost: 8)
    guard unsafe isWhole(run, alignment: 8, count: 8) else { return try loadBytes(at: address) }
    // SAFETY: As for `load16(at:)`, of eight.
    let word = unsafe run.baseAddress.unsafelyUnwrapped
      .assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring)
    return UInt64(littleEndian: word)
  }

  /// Stores a 16-bit word; earlier loads and stores stay before it (release).
  @inlinable
  public func store16(_ value: UInt16, at address: GuestAddress) throws(GuestMemoryError) {
    let run = unsafe try run(at: address, atMost: 2)
    guard unsafe isWhole(run, alignment: 2, count: 2) else {
      return try storeBytes(value, at: address)
    }
    // SAFETY: As for `load16(at:)`.
    unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt16>.self)
      .pointee.store(value.littleEndian, ordering: .releasing)
    noteWrite(address, count: 2)
  }

  /// Stores a 32-bit word; earlier loads and stores stay before it (release).
  @inlinable
  public func store32(_ value: UInt32, at address: GuestAddress) throws(GuestMemoryError) {
    let run = unsafe try run(at: address, atMost: 4)
    guard unsafe isWhole(run, alignment: 4, count: 4) else {
      return try storeBytes(value, at: address)
    }
    // SAFETY: As for `load32(at:)`.
    unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt32>.self)
      .pointee.store(value.littleEndian, ordering: .releasing)
    noteWrite(address, count: 4)
  }

  /// Stores a 64-bit word; earlier loads and stores stay before it (release).
  @inlinable
  public func store64(_ value: UInt64, at address: GuestAddress) throws(GuestMemoryError) {
    let run = unsafe try run(at: address, atMost: 8)
    guard unsafe isWhole(run, alignment: 8, count: 8) else {
      return try storeBytes(value, at: address)
    }
    // SAFETY: As for `load64(at:)`.
    unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt64>.self)
      .pointee.store(value.littleEndian, ordering: .releasing)
    noteWrite(address, count: 8)
  }

  @inlinable
  func isWhole(_ run: UnsafeMutableRawBufferPointer, alignment: Int, count: Int) -> Bool {
    run.count == count && Int(bitPattern: run.baseAddress) & (alignment - 1) == 0
  }

  @usableFromInline
  func loadBytes<Word: FixedWidthInteger>(
    at address: GuestAddress
  ) throws(GuestMemoryError) -> Word {
    let size = Word.bitWidth / 8
    guard contains(address, count: UInt64(size)) else {
      throw GuestMemoryError(address: address, count: UInt64(size))
    }
    var word: Word = 0
    for index in 0..<size {
      word |= Word(truncatingIfNeeded: try load8(at: address &+ UInt64(index))) << (8 * index)
    }
    return word
  }

  @usableFromInline
  func storeBytes<Word: FixedWidthInteger>(
    _ word: Word,
    at address: GuestAddress
  ) throws(GuestMemoryError) {
    let size = Word.bitWidth / 8
    guard contains(address, count: UInt64(size)) else {
      throw GuestMemoryError(address: address, count: UInt64(size))
    }
    for index in 0..<size {
      try store8(UInt8(truncatingIfNeeded: word >> (8 * index)), at: address &+ UInt64(index))
    }
  }
}
