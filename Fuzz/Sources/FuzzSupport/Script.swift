/// The fuzzer's bytes, taken from the front; zeroes after the end.
public struct Script {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var place = 0

  /// Reads from `bytes`, which stay valid as long as this value.
  public init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  /// Whether all bytes are used up.
  public var isAtEnd: Bool { place >= bytes.count }

  /// The next byte.
  public mutating func byte() -> UInt8 {
    guard place < bytes.count else { return 0 }
    defer { place += 1 }
    return bytes[place]
  }

  /// The next two bytes.
  public mutating func word16() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }

  /// The next four bytes.
  public mutating func word32() -> UInt32 { UInt32(word16()) | UInt32(word16()) << 16 }

  /// The next eight bytes.
  public mutating func word64() -> UInt64 { UInt64(word32()) | UInt64(word32()) << 32 }
}
