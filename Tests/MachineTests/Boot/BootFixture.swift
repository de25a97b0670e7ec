import Glibc
import GuestMemory
import HostOS
import Machine

/// A file without a name in the file system, at a path that is good until the process ends.
///
/// It is never closed: a test holds the path, and the compiler may let go of this value before that.
struct TemporaryFile {
  private let descriptor: Int32

  init(_ bytes: [UInt8]) throws {
    // O_TMPFILE of asm-generic/fcntl.h, which is no plain constant in C.
    descriptor = try OwnedFileDescriptor(opening: "/tmp", 0o20_200_000 | O_RDWR).release()
    try write(bytes)
  }

  var path: String { "/proc/self/fd/\(descriptor)" }

  /// Replaces the contents.
  func write(_ bytes: [UInt8]) throws {
    let number = descriptor
    _ = try retrying("ftruncate") { ftruncate(number, 0) }
    let done = bytes.withUnsafeBytes { pwrite(number, $0.baseAddress, $0.count, 0) }
    precondition(done == bytes.count, "short write")
  }
}

/// Little-endian bytes under construction.
struct Bytes {
  var bytes: [UInt8]

  init(count: Int) { bytes = [UInt8](repeating: 0, count: count) }

  mutating func put<Word: FixedWidthInteger>(_ value: Word, at offset: Int) {
    for index in 0..<Word.bitWidth / 8 {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> Word(8 * index))
    }
  }

  mutating func put(_ source: [UInt8], at offset: Int) {
    bytes.replaceSubrange(offset..<offset + source.count, with: source)
  }
}

/// A memory map with its guest memory, and the loading of one kernel into it.
struct BootFixture {
  let map: MemoryMap
  let memory: GuestMemory
  let rsdp = MemoryMap.acpiTables.lowerBound

  init(size: UInt64 = 64 << 20) throws {
    map = try MemoryMap(size: size, physicalAddressBits: 40)
    memory = try GuestMemory(map.guestMemoryRanges)
  }

  func load(
    _ kernel: TemporaryFile,
    _ files: [String] = [],
    _ line: String = "",
    as bootProtocol: BootProtocol? = nil
  ) throws -> BootState {
    let request = BootRequest(
      kernel: kernel.path,
      initialFiles: files,
      commandLine: line,
      bootProtocol: bootProtocol
    )
    return try Bootloader(request).load(into: memory, map: map, rsdp: rsdp)
  }

  /// The text at `address` up to its NUL.
  func text(at address: UInt64) throws -> String {
    var bytes: [UInt8] = []
    while let byte = try? memory.load8(at: GuestAddress(address + UInt64(bytes.count))), byte != 0 {
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func load32(_ address: UInt64) throws -> UInt32 { try memory.load32(at: GuestAddress(address)) }
  func load64(_ address: UInt64) throws -> UInt64 { try memory.load64(at: GuestAddress(address)) }
}

/// Images that are right, to be bent by tests.
enum Images {
  /// A bzImage of one setup sector with `payload`, like a small Linux 6.
  static func bzImage(payload: [UInt8] = Array(repeating: 0x90, count: 4096)) -> Bytes {
    var image = Bytes(count: 1024 + payload.count)
    image.put(1 as UInt8, at: 0x1F1)
    image.put(UInt32(payload.count / 16), at: 0x1F4)
    image.put(0xAA55 as UInt16, at: 0x1FE)
    image.put([0xEB, 0x6A], at: 0x200)
    image.put(Array("HdrS".utf8), at: 0x202)
    image.put(0x20F as UInt16, at: 0x206)
    image.put(1 as UInt8, at: 0x211)
    image.put(0x7FFF_FFFF as UInt32, at: 0x22C)
    image.put(0x20_0000 as UInt32, at: 0x230)
    image.put(1 as UInt8, at: 0x234)
    image.put(3 as UInt16, at: 0x236)
    image.put(2047 as UInt32, at: 0x238)
    image.put(0x100_0000 as UInt64, at: 0x258)
    image.put(0x10_0000 as UInt32, at: 0x260)
    image.put(payload, at: 1024)
    return image
  }

  /// An ELF64 with one segment at 2 MiB, 256 bytes in the file and 8 KiB in memory, and a PVH note.
  static func elf64(entry: UInt64 = 0x20_0010, note: UInt32? = 0x20_0020) -> Bytes {
    var image = Bytes(count: 512)
    image.put([0x7F, 0x45, 0x4C, 0x46, 2, 1, 1], at: 0)
    image.put(2 as UInt16, at: 16)
    image.put(62 as UInt16, at: 18)
    image.put(entry, at: 24)
    image.put(64 as UInt64, at: 32)
    image.put(56 as UInt16, at: 54)
    image.put(2 as UInt16, at: 56)
    image.put(1 as UInt32, at: 64)
    for (offset, value) in [(8, 256), (16, 0x20_0000), (24, 0x20_0000), (32, 256), (40, 8192)] {
      image.put(UInt64(value), at: 64 + offset)
    }
    image.put(4 as UInt32, at: 120)
    for (offset, value) in [(8, 192), (32, 40), (40, 40), (48, 4)] {
      image.put(UInt64(value), at: 120 + offset)
    }
    // A note of another owner comes first.
    image.put(4 as UInt32, at: 192)
    image.put(2 as UInt32, at: 196)
    image.put(18 as UInt32, at: 200)
    image.put(Array("GNU\0".utf8), at: 204)
    if let note {
      image.put(4 as UInt32, at: 212)
      image.put(4 as UInt32, at: 216)
      image.put(18 as UInt32, at: 220)
      image.put(Array("Xen\0".utf8), at: 224)
      image.put(note, at: 228)
    }
    for index in 256..<512 { image.put(UInt8(truncatingIfNeeded: index), at: index) }
    return image
  }

  /// Puts a Multiboot header with these flags into an image.
  static func addMultibootHeader(_ image: inout Bytes, at offset: Int, flags: UInt32 = 3) {
    image.put(0x1BAD_B002 as UInt32, at: offset)
    image.put(flags, at: offset + 4)
    image.put(0 &- 0x1BAD_B002 &- flags, at: offset + 8)
  }

  /// A Multiboot image in an ELF64.
  static func multibootELF(flags: UInt32 = 3) -> Bytes {
    var image = elf64(note: nil)
    addMultibootHeader(&image, at: 300, flags: flags)
    return image
  }

  /// A Multiboot image that is no ELF: loads its bytes from 16 on at 1 MiB, then 4 KiB of bss.
  static func multibootFlat() -> Bytes {
    var image = Bytes(count: 256)
    for index in 0..<256 { image.put(UInt8(truncatingIfNeeded: index), at: index) }
    addMultibootHeader(&image, at: 32, flags: 1 << 16 | 3)
    let addresses: [UInt32] = [0x10_0010, 0x10_0000, 0x10_00F0, 0x10_10F0, 0x10_0040]
    for (index, value) in addresses.enumerated() { image.put(value, at: 44 + index * 4) }
    return image
  }
}
