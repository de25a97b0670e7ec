public import GuestMemory

/// Why a range of memory is not taken, or not given back.
public enum HostedMemoryError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Address, size or offset is no whole number of pages, or the range is empty or wraps.
  case badRange(address: UInt64, size: UInt64, offset: UInt64)
  /// Another range has some of its addresses.
  case overlap(address: UInt64, size: UInt64, existing: UInt64)
  /// There are as many ranges as there may be.
  case tooMany(limit: Int)
  /// Nothing is there to be given back.
  case notThere(address: UInt64, size: UInt64)
  /// Only a part of the range that starts at `existing` would be given back.
  case partial(address: UInt64, size: UInt64, existing: UInt64)
  /// The file that came with it cannot be used.
  case badFile(SharedMappingError)

  /// One line for the log.
  public var description: String {
    switch self {
    case .badRange(let address, let size, let offset):
      "\(Self.range(address, size)) from offset \(Self.hexadecimal(offset)) wraps, is empty, or is not in whole pages"
    case .overlap(let address, let size, let existing):
      "\(Self.range(address, size)) overlaps the range at \(Self.hexadecimal(existing))"
    case .tooMany(let limit): "more than \(limit) ranges of memory"
    case .notThere(let address, let size): "\(Self.range(address, size)) was not mapped"
    case .partial(let address, let size, let existing):
      "\(Self.range(address, size)) is only a part of the range at \(Self.hexadecimal(existing))"
    case .badFile(let error): "\(error)"
    }
  }

  private static func range(_ address: UInt64, _ size: UInt64) -> String {
    "\(hexadecimal(size)) bytes at \(hexadecimal(address))"
  }

  private static func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
