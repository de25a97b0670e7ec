/// The address of a network interface: six bytes, of which the first goes out first.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
  /// The length in bytes.
  public static var size: Int { 6 }
  /// What reaches every interface.
  public static var broadcast: Self { Self(0xFFFF_FFFF_FFFF) }

  /// The bytes as one number, the first the most significant; 48 bits.
  public let rawValue: UInt64

  /// Wraps the low 48 bits of `rawValue`, the first byte the most significant.
  public init(_ rawValue: UInt64) { self.rawValue = rawValue & 0xFFFF_FFFF_FFFF }

  /// Takes the first six of `bytes`, or as many zeroes as are missing.
  public init(_ bytes: some Sequence<UInt8>) {
    var value: UInt64 = 0
    var count = 0
    for byte in bytes.prefix(Self.size) {
      value = value << 8 | UInt64(byte)
      count += 1
    }
    self.init(value << UInt64(8 * (Self.size - count)))
  }

  /// Reads `52:54:00:12:34:56`.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == Self.size else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard part.utf8.count == 2, part.allSatisfy(\.isHexDigit), let byte = UInt8(part, radix: 16)
      else { return nil }
      bytes.append(byte)
    }
    self.init(bytes)
  }

  /// The bytes, the first first.
  public var bytes: [UInt8] { (0..<Self.size).map { byte($0) } }

  /// Whether it stands for a group of interfaces, or for all.
  public var isMulticast: Bool { byte(0) & 1 != 0 }

  /// As it is written: `52:54:00:12:34:56`.
  public var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }

  private func byte(_ index: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: rawValue >> UInt64(8 * (Self.size - 1 - index)))
  }
}
