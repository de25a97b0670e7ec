public import GuestMemory

/// One chain of a driver's buffers: bytes for the device to read, then bytes for it to write.
///
/// A device makes one and uses it for chain after chain, so that after the first few nothing is
/// allocated; it makes several if it has several requests under way. All buffers are known to be in
/// RAM. How the driver cut the bytes into buffers does not show (2.7.4.1): each part is read, or
/// written, front to back by a cursor.
public struct DescriptorChain: ~Copyable {
  /// The number of the first descriptor: its place in the split table or in the packed ring.
  public internal(set) var head: UInt16 = 0
  /// What completes the chain when this value has gone on to another.
  public internal(set) var ticket = ChainTicket()

  let memory: GuestMemory
  private(set) var segments = SegmentBuffer()
  private(set) var readable = Cursor()
  private(set) var writable = Cursor()

  /// A place in one part of the chain.
  struct Cursor {
    var segment = 0
    var end = 0
    var offset: UInt32 = 0
    var left: UInt64 = 0

    /// Moves over the longest run that lies in one buffer, of at most `count` bytes.
    mutating func take(
      _ segments: borrowing SegmentBuffer,
      atMost count: UInt64
    ) -> (address: GuestAddress, count: UInt64)? {
      guard count > 0, segment < end else { return nil }
      let current = segments[segment]
      let address = current.address &+ UInt64(offset)
      let rest = current.count &- offset
      guard UInt64(rest) > count else {
        segment += 1
        offset = 0
        left &-= UInt64(rest)
        return (address, UInt64(rest))
      }
      offset &+= UInt32(truncatingIfNeeded: count)
      left &-= count
      return (address, count)
    }
  }

  /// Makes an empty chain for queues in `memory`.
  public init(in memory: GuestMemory) {
    self.memory = memory
  }

  /// The bytes that are left to read.
  public var readableCount: UInt64 { readable.left }

  /// The bytes that are left to write.
  public var writableCount: UInt64 { writable.left }

  /// Where the writing cursor stands, for one that may have to go back there.
  var writingPlace: Cursor {
    get { writable }
    set { writable = newValue }
  }

  /// Whether no writable buffer has been added.
  var isAllReadable: Bool { writable.segment == writable.end }

  /// How many buffers have been added.
  var bufferCount: Int { segments.count }

  /// Forgets all buffers, keeping the storage.
  mutating func removeAll() {
    segments.removeAll()
    readable = Cursor()
    writable = Cursor()
  }

  /// Adds a buffer that is in RAM, and returns the bytes of all.
  mutating func append(_ address: GuestAddress, count: UInt32, isWritable: Bool) -> UInt64 {
    let isFirstWritable = isWritable && isAllReadable
    segments.append(SegmentBuffer.Segment(address: address, count: count))
    if isWritable {
      if isFirstWritable { writable.segment = segments.count - 1 }
      writable.end = segments.count
      writable.left &+= UInt64(count)
    } else {
      readable.end = segments.count
      readable.left &+= UInt64(count)
    }
    return readable.left &+ writable.left
  }

  /// Moves the reading cursor over at most `count` bytes in one buffer.
  mutating func takeReadable(atMost count: UInt64) -> (address: GuestAddress, count: UInt64)? {
    readable.take(segments, atMost: count)
  }

  /// Moves the writing cursor over at most `count` bytes in one buffer.
  mutating func takeWritable(atMost count: UInt64) -> (address: GuestAddress, count: UInt64)? {
    writable.take(segments, atMost: count)
  }
}
