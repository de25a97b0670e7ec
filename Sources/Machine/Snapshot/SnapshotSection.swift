/// A part of a saved machine's file: a header of 32 bytes, and what it describes.
///
/// The header has, little-endian: the name, 16 bytes of ASCII and zeroes; a number, 4 bytes; the length of what
/// follows, 4; the CRC-32C of the 24 bytes before and of what follows, 4; zero, 4.
struct SnapshotSection: Equatable {
  /// What a section can be, in the order of the file.
  enum Name: String, CaseIterable {
    /// What kind of machine it is.
    case machine
    /// All interrupts.
    case interrupts
    /// The platform's devices and KVM's clock.
    case platform
    /// A PCI function; the number is its device number.
    case function
    /// A vCPU's registers; the number is its own.
    case processor
    /// A run of RAM: its address, and its bytes. The number counts them.
    case memory
    /// Nothing more comes: how many sections there were.
    case end
  }

  var name: Name
  var number: UInt32
  var bytes: [UInt8]
  /// Where in the file the header begins.
  var offset: UInt64 = 0

  static var headerSize: Int { 32 }
  /// No section is longer, in bytes.
  static var sizeLimit: Int { 2 << 20 }

  /// The file begins so, with the version and four bytes of zero after it.
  static var magic: [UInt8] { Array("APUSSAVE".utf8) }
  /// The version that is written and read.
  static var version: UInt32 { 1 }
  static var fileHeaderSize: Int { 16 }

  /// The header of a section with `bytes`.
  static func header(_ name: Name, _ number: UInt32, _ bytes: [UInt8]) -> [UInt8] {
    var header = Array(name.rawValue.utf8)
    header += [UInt8](repeating: 0, count: 16 - header.count)
    header += little(number) + little(UInt32(bytes.count))
    var checksum = CRC32C()
    checksum.add(header)
    checksum.add(bytes)
    return header + little(checksum.value) + [0, 0, 0, 0]
  }

  static func little(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
  }
}
