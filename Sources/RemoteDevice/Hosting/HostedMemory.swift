public import GuestMemory
public import HostOS

/// The guest's memory as a peer describes it, range by range.
///
/// Nothing here has an effect on a device before ``HostedFunction/use(_:)``.
public struct HostedMemory: Sendable {
  /// The most ranges at a time.
  public static var limit: Int { 4096 }

  /// The ranges by ascending address, without overlap.
  public private(set) var ranges: [HostedRange] = []
  /// Signalled when a page is found to be gone.
  private let fault: EventFD

  /// Has no range yet.
  ///
  /// - Parameter fault: Signalled when a page of a file is found to be gone; see ``isBroken``.
  public init(fault: EventFD) { self.fault = fault }

  /// Whether a page was found to be gone.
  public var isBroken: Bool { ranges.contains { $0.mapping?.isBroken == true } }

  /// Adds a range.
  ///
  /// - Parameters:
  ///   - address: The first guest address; this, `size` and `offset` are multiples of 4096.
  ///   - size: The length in bytes.
  ///   - access: What a device may do there.
  ///   - descriptor: The file with the bytes, which may be anything; without one, they are reached by
  ///     messages. What is not for reading and writing both is never mapped.
  ///   - offset: Where in the file the range starts.
  /// - Throws: ``HostedMemoryError``; nothing has changed then.
  public mutating func map(
    _ address: UInt64,
    size: UInt64,
    access: HostedRange.Access,
    _ descriptor: consuming OwnedFileDescriptor? = nil,
    offset: UInt64 = 0
  ) throws(HostedMemoryError) {
    guard size > 0, (address | size | offset) % GuestMemory.pageSize == 0,
      address <= .max - size, offset <= .max - size
    else { throw .badRange(address: address, size: size, offset: offset) }
    guard ranges.count < Self.limit else { throw .tooMany(limit: Self.limit) }
    let place = firstIndex(from: address)
    for neighbour in [place - 1, place] where ranges.indices.contains(neighbour) {
      guard !ranges[neighbour].overlaps(address, size) else {
        throw .overlap(address: address, size: size, existing: ranges[neighbour].address)
      }
    }
    var mapping: SharedMapping?
    if let file = consume descriptor, access == [.read, .write] {
      do throws(SharedMappingError) {
        mapping = try SharedMapping(of: file, offset: offset, count: size, fault: fault)
      } catch {
        throw .badFile(error)
      }
    }
    ranges.insert(
      HostedRange(address: address, size: size, access: access, mapping: mapping),
      at: place
    )
  }

  /// Takes away all ranges in `size` bytes at `address`, which must not cut one in two.
  public mutating func unmap(_ address: UInt64, size: UInt64) throws(HostedMemoryError) {
    let hit = ranges.filter { $0.overlaps(address, size) }
    guard size > 0, !hit.isEmpty else { throw .notThere(address: address, size: size) }
    for range in hit where !range.isInside(address, size) {
      throw .partial(address: address, size: size, existing: range.address)
    }
    ranges.removeAll { $0.overlaps(address, size) }
  }

  /// Takes away all ranges.
  public mutating func removeAll() { ranges = [] }

  /// What devices work on as their guest's memory: what is mapped, and what `peer` is asked for.
  ///
  /// - Parameters:
  ///   - peer: Who is asked; without one, only what is mapped is there.
  ///   - lost: Called on any thread when the peer is gone, or has not answered, before the device learns of it.
  /// - Returns: The memory.
  public func makeGuestMemory(
    _ peer: (any DMAPeer)? = nil,
    lost: (@Sendable () -> Void)? = nil
  ) -> GuestMemory {
    let distant = distantRanges
    return GuestMemory(
      shared: ranges.compactMap { range in
        range.mapping.map { SharedRegion(start: GuestAddress(range.address), mapping: $0) }
      },
      distant: distant.isEmpty
        ? nil : peer.map { DistantMemory(distant, of: MessagedMemory($0, lost: lost)) }
    )
  }

  /// What is reached by messages, and as RAM is, for reading and writing.
  var distantRanges: [DistantMemory.Range] {
    ranges.filter { $0.mapping == nil && $0.access == [.read, .write] }
      .map { DistantMemory.Range(start: GuestAddress($0.address), count: $0.size) }
  }

  /// What is mapped, by which one tells whether it has changed; the mappings live as long as this.
  var mappings: [ObjectIdentifier] {
    ranges.compactMap { $0.mapping.map(ObjectIdentifier.init) }
  }

  /// The range that `address` is in.
  func range(at address: UInt64) -> HostedRange? {
    let after = firstIndex(from: address)
    for index in [after, after - 1] where ranges.indices.contains(index) {
      if address &- ranges[index].address < ranges[index].size { return ranges[index] }
    }
    return nil
  }

  /// The index of the first range that starts at `address` or above.
  private func firstIndex(from address: UInt64) -> Int {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].address < address { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
