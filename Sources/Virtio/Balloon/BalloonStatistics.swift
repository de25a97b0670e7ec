/// How a guest's memory is used, as its driver told last (virtio 1.2, 5.5.6.3).
public struct BalloonStatistics: Equatable, Sendable {
  /// What a number is about.
  public enum Tag: UInt16, CaseIterable, Sendable {
    /// Bytes that were read from swap.
    case swappedIn = 0
    /// Bytes that were written to swap.
    case swappedOut = 1
    /// Page faults that needed the disk.
    case majorFaults = 2
    /// Page faults that did not.
    case minorFaults = 3
    /// Bytes that nobody uses.
    case free = 4
    /// Bytes in all.
    case total = 5
    /// Bytes that could be had without swapping.
    case available = 6
    /// Bytes that cache files.
    case caches = 7
    /// Huge pages that were allocated.
    case hugePages = 8
    /// Huge pages that could not be.
    case hugePageFailures = 9
  }

  /// The bytes of one number with its tag.
  static var entrySize: Int { 10 }
  /// The most numbers that are read of a driver.
  static var entryLimit: Int { 64 }

  private var values: [Tag: UInt64] = [:]

  /// No numbers.
  public init() {}

  /// A number; `nil` if the driver did not tell it.
  public subscript(_ tag: Tag) -> UInt64? {
    get { values[tag] }
    set { values[tag] = newValue }
  }

  /// Whether there are none.
  public var isEmpty: Bool { values.isEmpty }

  /// Reads what a driver tells; tags that nobody knows are passed over.
  init(_ chain: inout DescriptorChain) {
    for _ in 0..<Self.entryLimit {
      guard let tag = chain.readWord(UInt16.self), let value = chain.readWord(UInt64.self) else {
        return
      }
      // 5.5.6.3.1: a driver leaves out what it does not know, and some write all ones.
      guard let tag = Tag(rawValue: tag), value != .max else { continue }
      values[tag] = value
    }
  }
}
