/// A range of guest RAM that was found once, for words that are loaded and stored again and again,
/// such as those of a queue's rings.
///
/// Words are little-endian, and each aligned one is one atomic access: loads acquire, stores release.
/// Where the range is not in one piece in the host, every access is looked up anew, as the memory's
/// own functions do. An offset beyond the end of the range is a bug of ours, and stops the program.
///
/// A window has no hold on its memory, which every call is given anew: so that nothing is retained on
/// the way of a request.
@safe
public struct MemoryWindow: BitwiseCopyable, Sendable {
  /// The first guest address.
  public let start: GuestAddress
  /// The length in bytes.
  public let count: UInt64
  /// The first byte in the host; 0 if accesses are to be looked up.
  @usableFromInline let host: UInt

  @usableFromInline
  init(start: GuestAddress, count: UInt64, host: UInt) {
    self.start = start
    self.count = count
    self.host = host
  }

  /// Loads a 16-bit word; later loads and stores stay after it.
  @inlinable
  @inline(__always)
  public func load16(_ offset: UInt64, in memory: GuestMemory) -> UInt16 {
    load(offset, in: memory)
  }

  /// Loads a 32-bit word; later loads and stores stay after it.
  @inlinable
  @inline(__always)
  public func load32(_ offset: UInt64, in memory: GuestMemory) -> UInt32 {
    load(offset, in: memory)
  }

  /// Loads a 64-bit word; later loads and stores stay after it.
  @inlinable
  @inline(__always)
  public func load64(_ offset: UInt64, in memory: GuestMemory) -> UInt64 {
    load(offset, in: memory)
  }

  /// Stores a 16-bit word; earlier loads and stores stay before it.
  @inlinable
  @inline(__always)
  public func store16(_ value: UInt16, _ offset: UInt64, in memory: GuestMemory) {
    store(value, offset, in: memory)
  }

  /// Stores a 32-bit word; earlier loads and stores stay before it.
  @inlinable
  @inline(__always)
  public func store32(_ value: UInt32, _ offset: UInt64, in memory: GuestMemory) {
    store(value, offset, in: memory)
  }

  /// Stores a 64-bit word; earlier loads and stores stay before it.
  @inlinable
  @inline(__always)
  public func store64(_ value: UInt64, _ offset: UInt64, in memory: GuestMemory) {
    store(value, offset, in: memory)
  }

  @inlinable
  @inline(__always)
  func load<Word: GuestWord>(_ offset: UInt64, in memory: GuestMemory) -> Word {
    precondition(offset <= count &- Word.size && count >= Word.size, "offset beyond a window")
    let place = host &+ UInt(offset)
    guard host != 0, Word.isAligned(place) else { return memory.slowLoad(at: start &+ offset) }
    // The word is in the range, all of which is mapped while `memory` lives.
    return Word.loadAcquiring(place)
  }

  @inlinable
  @inline(__always)
  func store<Word: GuestWord>(_ value: Word, _ offset: UInt64, in memory: GuestMemory) {
    precondition(offset <= count &- Word.size && count >= Word.size, "offset beyond a window")
    let place = host &+ UInt(offset)
    guard host != 0, Word.isAligned(place), !memory.isLogged else {
      memory.slowStore(value, at: start &+ offset)
      return
    }
    value.storeReleasing(place)
  }
}

extension GuestMemory {
  /// Finds a range for many accesses; `nil` if not all of it is RAM.
  @inlinable
  @inline(__always)
  public func window(_ address: GuestAddress, count: UInt64) -> MemoryWindow? {
    let host = hostAddress(of: address, count: count)
    guard host != 0 || contains(address, count: count) else { return nil }
    return MemoryWindow(start: address, count: count, host: host)
  }

  /// The first byte of a range in the host; 0 if the range is empty, not in one piece, or not RAM.
  @inlinable
  @inline(__always)
  func hostAddress(of address: GuestAddress, count: UInt64) -> UInt {
    guard count > 0, let run = unsafe try? run(at: address, atMost: count),
      UInt64(run.count) == count
    else { return 0 }
    return UInt(bitPattern: run.baseAddress)
  }

  /// Whether all of `count` bytes at `address` are RAM, where that is most often one piece.
  @inlinable
  @inline(__always)
  public func holds(_ address: GuestAddress, count: UInt64) -> Bool {
    hostAddress(of: address, count: count) != 0 || contains(address, count: count)
  }

  @inlinable
  @inline(never)
  func slowLoad<Word: GuestWord>(at address: GuestAddress) -> Word {
    (try? load(at: address)) ?? 0
  }

  @inlinable
  @inline(never)
  func slowStore<Word: GuestWord>(_ value: Word, at address: GuestAddress) {
    try? store(value, at: address)
  }
}
