import GuestMemory
public import HostOS

/// A kernel, initrd or command line with which the guest cannot be started.
public enum BootError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file cannot be opened or read.
  case unreadable(path: String, SystemError)
  /// The path names a directory, a device or a pipe.
  case notAFile(path: String)
  /// An initrd or module without a byte in it.
  case emptyFile(path: String)
  /// The file is of no kind that boots, or not of the one asked for (`expected`).
  case unknownFormat(path: String, firstBytes: [UInt8], expected: BootProtocol?)
  /// An ELF file, but without a PVH note or a Multiboot header.
  case noPVHNote(path: String, firstBytes: [UInt8])
  /// The file ends before what its own headers promise: `what` ends at `needed`.
  case truncated(path: String, what: String, needed: UInt64, size: UInt64)
  /// A header with a value that cannot be.
  case malformed(path: String, problem: String)
  /// A kernel that needs what this machine does not offer.
  case unsupported(path: String, problem: String)
  /// More bytes of command line than the kernel takes.
  case commandLineTooLong(count: Int, limit: Int)
  /// `item` reaches up to the address `end`, and RAM below the devices to `memoryEnd`.
  case beyondMemory(item: String, end: UInt64, memoryEnd: UInt64)
  /// `item` of `count` bytes has no place in the addresses from `lowest` up to `limit`.
  case noRoom(item: String, count: UInt64, lowest: UInt64, limit: UInt64)

  /// One line with the thing, the value and the remedy.
  public var description: String {
    switch self {
    case .unreadable(let path, let error): "\(path): \(error.reason); check the path"
    case .notAFile(let path): "\(path): not a regular file; give the path of an image file"
    case .emptyFile(let path): "\(path): an empty file; leave it out or give one with contents"
    case .unknownFormat(let path, let bytes, nil):
      "\(path): neither a bzImage, an ELF with a PVH note, nor a Multiboot image; "
        + starts(bytes)
    case .unknownFormat(let path, let bytes, let expected?):
      "\(path): not \(expected.fileKind), as asked for; " + starts(bytes)
    case .noPVHNote(let path, let bytes):
      "\(path): an ELF, but without a PVH note (Linux: CONFIG_PVH) or a Multiboot header; "
        + starts(bytes)
    case .truncated(let path, let what, let needed, let size):
      "\(path): truncated: \(what) ends at byte \(needed) and the file at \(size); copy it again"
    case .malformed(let path, let problem): "\(path): malformed: \(problem)"
    case .unsupported(let path, let problem): "\(path): \(problem)"
    case .commandLineTooLong(let count, let limit):
      "command line of \(count) bytes; this kernel takes at most \(limit); shorten --append"
    case .beyondMemory(let item, let end, let memoryEnd):
      if end > MemoryMap.pciWindow32.lowerBound.rawValue {
        "\(item): loads up to 0x\(hex(end)), but RAM below the devices ends at 3G; "
          + "link it to a lower address"
      } else {
        "\(item): needs memory up to 0x\(hex(end)), and the guest's ends at 0x\(hex(memoryEnd)) "
          + "(\(sizeText(memoryEnd))); give it at least \(mebibytes(end)) with --memory"
      }
    case .noRoom(let item, let count, let lowest, let limit):
      "\(item): \(count) bytes do not fit between 0x\(hex(lowest)) and 0x\(hex(limit)); "
        + "give the guest more with --memory, or a smaller file"
    }
  }

  private func starts(_ bytes: [UInt8]) -> String {
    guard !bytes.isEmpty else { return "it is empty" }
    let text = bytes.map { ($0 < 16 ? "0" : "") + hex(UInt64($0)) }.joined(separator: " ")
    return "starts with \(text)"
  }

  private func hex(_ value: UInt64) -> String { String(value, radix: 16) }

  /// Rounded up to a whole `M`.
  private func mebibytes(_ size: UInt64) -> String { sizeText((size + (1 << 20) - 1) & ~0xF_FFFF) }
}
