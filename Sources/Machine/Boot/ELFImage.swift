import GuestMemory

/// The parts of an ELF executable that a loader needs, checked against the file.
///
/// (System V ABI, Object Files, chapters 4 and 5.) Every field is the file's and may be anything.
struct ELFImage: Sendable {
  /// A `PT_LOAD` segment with bytes to load or clear.
  struct Segment: Sendable {
    let fileOffset: UInt64
    let fileCount: UInt64
    let virtualAddress: UInt64
    let address: GuestAddress
    let count: UInt64

    var range: Range<GuestAddress> { address..<(address &+ count) }
  }

  /// The first instruction, a physical address.
  let entry: UInt64
  /// The segments, by ascending address, without overlap.
  let segments: [Segment]
  /// The 32-bit entry of the PVH note, if there is one.
  let pvhEntry: UInt32?

  private static var segmentLimit: UInt16 { 256 }
  private static var noteLimit: UInt64 { 64 << 10 }

  /// Whether the bytes start as an ELF file does.
  static func isELF(_ prefix: [UInt8]) -> Bool { prefix.starts(with: [0x7F, 0x45, 0x4C, 0x46]) }

  /// Reads the headers and notes of `file`.
  init(_ file: BootFile) throws(BootError) {
    let ident = HeaderView(bytes: try file.bytes(at: 0, count: 20, what: "the ELF header"))
    let isWide = ident.bytes[4] == 2
    let machine: UInt16 = ident.load(18)
    guard isWide || ident.bytes[4] == 1, ident.bytes[5] == 1, machine == 62 || machine == 3 else {
      throw .unsupported(
        path: file.path,
        problem: "an ELF for another processor (class \(ident.bytes[4]), machine \(machine)); "
          + "only x86-64 and i386 run here"
      )
    }
    guard ident.load(16, as: UInt16.self) == 2 || ident.load(16, as: UInt16.self) == 3 else {
      throw .unsupported(path: file.path, problem: "an ELF that is no executable; link it first")
    }
    let size = isWide ? 64 : 52
    let header = HeaderView(bytes: try file.bytes(at: 0, count: size, what: "the ELF header"))
    let entry = isWide ? header.load(24) : UInt64(header.load(24, as: UInt32.self))
    let offset = isWide ? header.load(32) : UInt64(header.load(28, as: UInt32.self))
    let entrySize: UInt16 = header.load(isWide ? 54 : 42)
    let number: UInt16 = header.load(isWide ? 56 : 44)
    guard number > 0, number <= Self.segmentLimit, entrySize == (isWide ? 56 : 32) else {
      throw .malformed(
        path: file.path,
        problem: "\(number) ELF program headers of \(entrySize) bytes"
      )
    }
    let table = HeaderView(
      bytes: try file.bytes(
        at: offset,
        count: Int(number) * Int(entrySize),
        what: "the ELF program header table"
      )
    )

    var segments: [Segment] = []
    var pvhEntry: UInt32?
    for index in 0..<Int(number) {
      let base = index * Int(entrySize)
      let segment = Self.segment(table, base, isWide)
      switch table.load(base, as: UInt32.self) {
      case 1 where segment.count > 0:
        try Self.check(segment, file)
        segments.append(segment)
      case 4 where pvhEntry == nil:
        let count = Int(min(segment.fileCount, Self.noteLimit))
        let notes = try file.bytes(at: segment.fileOffset, count: count, what: "an ELF note")
        let alignment = table.load(base + (isWide ? 48 : 28), as: UInt32.self)
        pvhEntry = Self.pvhEntry(HeaderView(bytes: notes), alignment: alignment == 8 ? 8 : 4)
      default: continue
      }
    }
    guard !segments.isEmpty else {
      throw .malformed(path: file.path, problem: "an ELF without a segment to load")
    }
    segments.sort { $0.address < $1.address }
    for (lower, upper) in zip(segments, segments.dropFirst())
    where lower.range.upperBound > upper.address {
      throw .malformed(path: file.path, problem: "ELF segments overlap at \(upper.address)")
    }
    self.segments = segments
    self.pvhEntry = pvhEntry
    // The entry is a virtual address; the CPU starts without paging.
    let home = segments.first { entry &- $0.virtualAddress < $0.count }
    self.entry = home.map { entry &- $0.virtualAddress &+ $0.address.rawValue } ?? entry
  }

  private static func segment(_ table: HeaderView, _ base: Int, _ isWide: Bool) -> Segment {
    if isWide {
      return Segment(
        fileOffset: table.load(base + 8),
        fileCount: table.load(base + 32),
        virtualAddress: table.load(base + 16),
        address: GuestAddress(table.load(base + 24)),
        count: table.load(base + 40)
      )
    }
    func word(_ offset: Int) -> UInt64 { UInt64(table.load(base + offset, as: UInt32.self)) }
    return Segment(
      fileOffset: word(4),
      fileCount: word(16),
      virtualAddress: word(8),
      address: GuestAddress(word(12)),
      count: word(20)
    )
  }

  private static func check(_ segment: Segment, _ file: BootFile) throws(BootError) {
    guard segment.fileCount <= segment.count else {
      throw .malformed(
        path: file.path,
        problem: "ELF segment at \(segment.address) has \(segment.fileCount) bytes "
          + "for \(segment.count) in memory"
      )
    }
    guard segment.count <= UInt64.max - segment.address.rawValue else {
      throw .malformed(
        path: file.path,
        problem: "ELF segment at \(segment.address) of \(segment.count) bytes wraps around"
      )
    }
    guard segment.fileCount <= file.count, segment.fileOffset <= file.count - segment.fileCount
    else {
      let (end, overflow) = segment.fileOffset.addingReportingOverflow(segment.fileCount)
      throw .truncated(
        path: file.path,
        what: "the ELF segment at \(segment.address)",
        needed: overflow ? .max : end,
        size: file.count
      )
    }
  }

  /// Finds XEN_ELFNOTE_PHYS32_ENTRY, note 18 of the owner "Xen" (Xen `public/elfnote.h`).
  private static func pvhEntry(_ notes: HeaderView, alignment: Int) -> UInt32? {
    let total = notes.bytes.count
    var offset = 0
    while total - offset >= 12 {
      let nameCount = Int(notes.load(offset, as: UInt32.self))
      let count = Int(notes.load(offset + 4, as: UInt32.self))
      let name = offset + 12
      // Each step is checked before the next sum: the counts are the file's, but below 2^32.
      let description = (name + nameCount + alignment - 1) & ~(alignment - 1)
      let end = description + count
      guard end <= total else { return nil }
      if notes.load(offset + 8, as: UInt32.self) == 18, nameCount == 4, count >= 4,
        notes.bytes[name..<name + 4].elementsEqual([0x58, 0x65, 0x6E, 0])
      {
        return notes.load(description)
      }
      offset = (end + alignment - 1) & ~(alignment - 1)
    }
    return nil
  }
}
