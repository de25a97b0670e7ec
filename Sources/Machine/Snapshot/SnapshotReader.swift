import Glibc
import HostOS

/// Reads the sections of a saved machine's file, one after the other, whoever wrote it.
///
/// No more memory is taken than one section needs, and none before its length was held against what the file has.
/// It belongs to one thread at a time.
final class SnapshotReader {
  private let file: OwnedFileDescriptor
  private let size: UInt64
  private var offset: UInt64 = 0
  private var sectionCount: UInt32 = 0
  /// A section that was looked at and not taken.
  private var next: SnapshotSection?

  /// Takes over an open file, from its beginning.
  ///
  /// - Throws: ``SnapshotError``, `SystemError`.
  init(_ file: consuming OwnedFileDescriptor) throws {
    var status = stat()
    let number = file.rawValue
    _ = try retrying("fstat") { unsafe fstat(number, &status) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw SnapshotError.notAFile }
    size = UInt64(clamping: status.st_size)
    self.file = file
    let magic = SnapshotSection.magic
    // A file that is none of ours is not called one that ends too early.
    guard size >= UInt64(magic.count), try take(magic.count) == magic else {
      throw SnapshotError.unknownFormat
    }
    let rest = try take(SnapshotSection.fileHeaderSize - magic.count)
    let version = Self.word(rest, at: 0)
    guard version == SnapshotSection.version else { throw SnapshotError.version(version) }
    guard Self.word(rest, at: 4) == 0 else {
      throw SnapshotError.section(
        offset: UInt64(magic.count) + 4,
        reason: "a header that cannot be"
      )
    }
  }

  /// Looks at the next section, and leaves it for ``read()``.
  ///
  /// - Throws: ``SnapshotError``, `SystemError`.
  func peek() throws -> SnapshotSection {
    if let next { return next }
    let section = try readSection()
    next = section
    return section
  }

  /// Takes the next section, which must have this name, and this number if one is given.
  ///
  /// - Throws: ``SnapshotError``, `SystemError`.
  func read(
    _ name: SnapshotSection.Name,
    number: UInt32? = nil
  ) throws -> SnapshotSection {
    let section = try peek()
    guard section.name == name, number == nil || section.number == number else {
      throw SnapshotError.section(
        offset: section.offset,
        reason:
          "section \(section.name.rawValue) \(section.number) in the place of \(name.rawValue)"
          + (number.map { " \($0)" } ?? "")
      )
    }
    next = nil
    sectionCount += 1
    return section
  }

  /// Takes the last section.
  ///
  /// - Throws: ``SnapshotError``, `SystemError`.
  func finish() throws {
    let before = sectionCount
    let end = try read(.end, number: 0)
    guard end.bytes == SnapshotSection.little(before) else {
      throw SnapshotError.section(
        offset: end.offset,
        reason: "an end that is not that of \(before) sections"
      )
    }
    guard offset == size else { throw SnapshotError.tooLong(offset: offset, extra: size - offset) }
  }

  private func readSection() throws -> SnapshotSection {
    let start = offset
    let header = try take(SnapshotSection.headerSize)
    let text = header.prefix(16).prefix { $0 != 0 }
    guard let name = SnapshotSection.Name(rawValue: String(decoding: text, as: UTF8.self)),
      header[text.count..<16].allSatisfy({ $0 == 0 }), Self.word(header, at: 28) == 0
    else { throw SnapshotError.section(offset: start, reason: "an unknown section") }
    let length = Self.word(header, at: 20)
    guard length <= SnapshotSection.sizeLimit else {
      throw SnapshotError.section(
        offset: start,
        reason: "a section \(name.rawValue) of \(length) bytes, which none has,"
      )
    }
    let bytes = try take(Int(length))
    var checksum = CRC32C()
    checksum.add(Array(header.prefix(24)))
    checksum.add(bytes)
    guard checksum.value == Self.word(header, at: 24) else {
      throw SnapshotError.checksum(offset: start, section: name.rawValue)
    }
    return SnapshotSection(
      name: name,
      number: Self.word(header, at: 16),
      bytes: bytes,
      offset: start
    )
  }

  /// Reads exactly `count` bytes, after a look whether the file has them.
  private func take(_ count: Int) throws -> [UInt8] {
    guard UInt64(count) <= size - offset else {
      throw SnapshotError.truncated(offset: size, missing: UInt64(count) - (size - offset))
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      let more = try FileIO.read(file.rawValue, atMost: count - bytes.count) ?? []
      // Somebody has cut it meanwhile.
      guard !more.isEmpty else {
        throw SnapshotError.truncated(
          offset: offset + UInt64(bytes.count),
          missing: UInt64(count - bytes.count)
        )
      }
      bytes += more
    }
    offset += UInt64(count)
    return bytes
  }

  private static func word(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}
