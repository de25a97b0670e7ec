public import Synchronization

/// Loads and stores of little-endian words, each one atomic access.
///
/// An address that is not aligned to its word is copied bytewise, hence not atomic; ring indices
/// are aligned by the standards that define them, and callers check that first where it matters.
extension GuestMemory {
  /// Loads a byte.
  @inlinable
  public func load8(at address: GuestAddress) throws(GuestMemoryError) -> UInt8 {
    guard let run = unsafe try? run(at: address, atMost: 1) else {
      return try loadDistant(at: address)
    }
    // SAFETY: one byte is there, and `Atomic<UInt8>` has the layout of `UInt8`.
    return unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt8>.self)
      .pointee.load(ordering: .relaxed)
  }

  /// Stores a byte.
  @inlinable
  public func store8(_ value: UInt8, at address: GuestAddress) throws(GuestMemoryError) {
    guard let run = unsafe try? run(at: address, atMost: 1) else {
      return try storeDistant(value, at: address)
    }
    // SAFETY: As for `load8(at:)`.
    unsafe run.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Atomic<UInt8>.self)
      .pointee.store(value, ordering: .relaxed)
    noteWrite(address, count: 1)
  }

  /// Loads a 16-bit word; later loads and stores stay after it (acquire).
  @inlinable
  public func load16(at address: GuestAddress) throws(GuestMemoryError) -> UInt16 {
    try load(at: address)
  }

  /// Loads a 32-bit word; later loads and stores stay after it (acquire).
  @inlinable
  public func load32(at address: GuestAddress) throws(GuestMemoryError) -> UInt32 {
    try load(at: address)
  }

  /// Loads a 64-bit word; later loads and stores stay after it (acquire).
  @inlinable
  public func load64(at address: GuestAddress) throws(GuestMemoryError) -> UInt64 {
    try load(at: address)
  }

  /// Stores a 16-bit word; earlier loads and stores stay before it (release).
  @inlinable
  public func store16(_ value: UInt16, at address: GuestAddress) throws(GuestMemoryError) {
    try store(value, at: address)
  }

  /// Stores a 32-bit word; earlier loads and stores stay before it (release).
  @inlinable
  public func store32(_ value: UInt32, at address: GuestAddress) throws(GuestMemoryError) {
    try store(value, at: address)
  }

  /// Stores a 64-bit word; earlier loads and stores stay before it (release).
  @inlinable
  public func store64(_ value: UInt64, at address: GuestAddress) throws(GuestMemoryError) {
    try store(value, at: address)
  }

  @inlinable
  @inline(__always)
  func load<Word: GuestWord>(at address: GuestAddress) throws(GuestMemoryError) -> Word {
    guard let run = unsafe try? run(at: address, atMost: Word.size) else {
      return try loadDistant(at: address)
    }
    let place = UInt(bitPattern: run.baseAddress)
    guard run.count == Word.size, Word.isAligned(place) else { return try loadBytes(at: address) }
    return Word.loadAcquiring(place)
  }

  @inlinable
  @inline(__always)
  func store<Word: GuestWord>(
    _ value: Word,
    at address: GuestAddress
  ) throws(GuestMemoryError) {
    guard let run = unsafe try? run(at: address, atMost: Word.size) else {
      return try storeDistant(value, at: address)
    }
    let place = UInt(bitPattern: run.baseAddress)
    guard run.count == Word.size, Word.isAligned(place) else {
      return try storeBytes(value, at: address)
    }
    value.storeReleasing(place)
    noteWrite(address, count: Word.size)
  }

  @inline(never)
  @usableFromInline
  func loadDistant<Word: FixedWidthInteger>(
    at address: GuestAddress
  ) throws(GuestMemoryError) -> Word {
    let size = UInt64(Word.bitWidth / 8)
    let run = try distantRun(at: address, atMost: size)
    // More than one byte of it, which may lie on both sides of a border.
    guard run.count == size else { return try loadBytes(at: address) }
    return try run.memory.load(at: address)
  }

  @inline(never)
  @usableFromInline
  func storeDistant<Word: FixedWidthInteger>(
    _ value: Word,
    at address: GuestAddress
  ) throws(GuestMemoryError) {
    let size = UInt64(Word.bitWidth / 8)
    let run = try distantRun(at: address, atMost: size)
    guard run.count == size else { return try storeBytes(value, at: address) }
    try run.memory.store(value, at: address)
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
