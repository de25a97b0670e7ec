import Glibc

/// Descriptors that came with a message, in their order; those that nobody takes are closed.
public struct DescriptorBatch: ~Copyable, Sendable {
  /// The most descriptors that one batch holds.
  public static var capacity: Int { 32 }

  private var numbers = InlineArray<32, Int32>(repeating: -1)
  private var first = 0
  private var end = 0

  /// Makes an empty batch.
  public init() {}

  deinit {
    for index in first..<end { _ = close(numbers[index]) }
  }

  /// How many descriptors are left.
  public var count: Int { end - first }

  /// How many more there is room for.
  var room: Int { Self.capacity - end }

  /// Takes over a descriptor that the caller just obtained.
  mutating func append(adopting number: Int32) {
    numbers[end] = number
    end += 1
  }

  /// The number of a descriptor that is left, counted from the next; it stays the batch's.
  public func number(_ index: Int) -> Int32 {
    precondition(index >= 0 && index < count, "descriptor \(index) of \(count)")
    return numbers[first + index]
  }

  /// Hands the next descriptor out, if one is left.
  public mutating func takeFirst() -> OwnedFileDescriptor? {
    guard first < end else { return nil }
    defer { first += 1 }
    return OwnedFileDescriptor(adopting: numbers[first])
  }
}
