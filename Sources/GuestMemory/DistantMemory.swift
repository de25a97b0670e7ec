import Synchronization

/// Ranges of guest RAM that are not mapped here, but reached by asking for each access.
///
/// Device code works on it as on any other: words are asked for one by one, and buffers of host I/O are private
/// memory that is filled before, or sent off after it.
@safe
public final class DistantMemory: Sendable {
  /// One of them.
  public struct Range: Equatable, Sendable {
    /// The first guest address.
    public let start: GuestAddress
    /// The length in bytes.
    public let count: UInt64

    /// Describes `count` bytes at `start`.
    public init(start: GuestAddress, count: UInt64) {
      self.start = start
      self.count = count
    }
  }

  /// By ascending address, without overlap.
  let ranges: [Range]
  private let peer: any GuestMemoryPeer
  private let bounced = Atomic<UInt64>(0)

  /// The most bytes that buffers of host I/O take at a time.
  public static var bounceLimit: UInt64 { 256 << 20 }
  // The longest piece that is asked for at a time.
  static var step: UInt64 { 1 << 20 }

  /// Describes what `peer` is asked for.
  ///
  /// - Parameters:
  ///   - ranges: Without overlap, none of which reaches the end of the address space.
  ///   - peer: Who has them.
  public init(_ ranges: [Range], of peer: any GuestMemoryPeer) {
    self.ranges = ranges.sorted { $0.start < $1.start }
    self.peer = peer
  }

  /// How many bytes from `address` on are here, up to `count`.
  func run(at address: GuestAddress, atMost count: UInt64) -> UInt64 {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return 0 }
    let offset = address.rawValue &- ranges[low - 1].start.rawValue
    guard offset < ranges[low - 1].count else { return 0 }
    return min(count, ranges[low - 1].count - offset)
  }

  /// Reads `count` bytes, all of which are here.
  func read(at address: GuestAddress, count: UInt64) throws(GuestMemoryError) -> [UInt8] {
    guard let bytes = peer.read(at: address, count: Int(count)), bytes.count == count else {
      throw GuestMemoryError(address: address, count: count)
    }
    return bytes
  }

  /// Writes bytes, all of which are here.
  func write(_ bytes: [UInt8], at address: GuestAddress) throws(GuestMemoryError) {
    guard peer.write(bytes, at: address) else {
      throw GuestMemoryError(address: address, count: UInt64(bytes.count))
    }
  }

  /// Reads into all of `buffer`.
  @unsafe
  func read(
    at address: GuestAddress,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(GuestMemoryError) {
    var done = 0
    while done < buffer.count {
      let count = min(UInt64(buffer.count - done), Self.step)
      let bytes = try read(at: address &+ UInt64(done), count: count)
      // SAFETY: as many bytes are left in the buffer from `done`.
      unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...]).copyBytes(from: bytes)
      done += bytes.count
    }
  }

  /// Writes all of `buffer`.
  @unsafe
  func write(_ buffer: UnsafeRawBufferPointer, at address: GuestAddress) throws(GuestMemoryError) {
    var done = 0
    while done < buffer.count {
      let count = min(buffer.count - done, Int(Self.step))
      // SAFETY: as many bytes are left in the buffer from `done`.
      let bytes = unsafe Array(buffer[done..<done + count])
      try write(bytes, at: address &+ UInt64(done))
      done += count
    }
  }

  /// Loads a little-endian word.
  func load<Word: FixedWidthInteger>(at address: GuestAddress) throws(GuestMemoryError) -> Word {
    let size = Word.bitWidth / 8
    guard let bytes = peer.read(at: address, count: size), bytes.count == size else {
      throw GuestMemoryError(address: address, count: UInt64(size))
    }
    return bytes.reversed().reduce(0) { $0 << 8 | Word(truncatingIfNeeded: $1) }
  }

  /// Stores a little-endian word.
  func store<Word: FixedWidthInteger>(
    _ word: Word,
    at address: GuestAddress
  ) throws(GuestMemoryError) {
    let size = Word.bitWidth / 8
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
    guard peer.write(bytes, at: address) else {
      throw GuestMemoryError(address: address, count: UInt64(size))
    }
  }

  /// Takes room for a buffer; whether there is some.
  func reserve(_ count: UInt64) -> Bool {
    let total = bounced.add(count, ordering: .relaxed).newValue
    guard total <= Self.bounceLimit else {
      free(count)
      return false
    }
    return true
  }

  /// Gives room back.
  func free(_ count: UInt64) { bounced.subtract(count, ordering: .relaxed) }
}
