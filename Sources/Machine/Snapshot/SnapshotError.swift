/// Why the file of a saved machine cannot be used.
enum SnapshotError: Error, Equatable, CustomStringConvertible {
  /// It does not begin as such a file does.
  case unknownFormat
  /// It has another version.
  case version(UInt32)
  /// It is no plain file.
  case notAFile
  /// It ends too early.
  case truncated(offset: UInt64, missing: UInt64)
  /// It goes on after its end.
  case tooLong(offset: UInt64, extra: UInt64)
  /// A section's name, number, or length is none, or does not belong there.
  case section(offset: UInt64, reason: String)
  /// The bytes of a section are not those that were saved.
  case checksum(offset: UInt64, section: String)
  /// Something in a section cannot be.
  case invalid(offset: UInt64, section: String, reason: String)
  /// The machine is another than the one that was saved.
  case mismatch(String)

  /// One line: what is wrong, and what to do.
  var description: String {
    switch self {
    case .unknownFormat: "no saved machine; name a file that apus run --save has written"
    case .version(let version):
      "saved machine of version \(version), and this program reads version "
        + "\(SnapshotSection.version); use the program that saved it"
    case .notAFile: "no plain file; name a file that apus run --save has written"
    case .truncated(let offset, let missing):
      "saved machine that ends too early: \(missing) bytes are missing at offset \(offset); save it again, "
        + "or copy it whole"
    case .tooLong(let offset, let extra):
      "saved machine with \(extra) bytes after its end at offset \(offset); save it again, or copy it anew"
    case .section(let offset, let reason):
      "saved machine with \(reason) at offset \(offset); save it again, or copy it anew"
    case .checksum(let offset, let section):
      "saved machine whose section \(section) at offset \(offset) has a wrong checksum; save it again, or "
        + "copy it anew"
    case .invalid(let offset, let section, let reason):
      "saved machine whose section \(section) at offset \(offset) has \(reason); save it again"
    case .mismatch(let text): text
    }
  }
}
