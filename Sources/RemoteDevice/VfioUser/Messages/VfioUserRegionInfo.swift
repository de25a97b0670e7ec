/// A region of a device, or the question for it (`vfio_region_info`).
struct VfioUserRegionInfo: Equatable, Sendable {
  /// The length in bytes, without what may follow.
  static var count: Int { 32 }
  static var readFlag: UInt32 { 1 << 0 }
  static var writeFlag: UInt32 { 1 << 1 }
  /// The region, or the areas of it that are named, can be mapped; a descriptor comes with it.
  static var mapFlag: UInt32 { 1 << 2 }
  /// Capabilities follow, or would if there had been room.
  static var capabilityFlag: UInt32 { 1 << 3 }

  /// A part of a region that can be mapped (`vfio_region_sparse_mmap_area`).
  struct Area: Equatable, Sendable {
    static var count: Int { 16 }
    var offset: UInt64
    var size: UInt64
  }

  /// In a request the room that there is for the reply, in a reply what it would take.
  var argumentSize = UInt32(Self.count)
  var flags: UInt32 = 0
  var index: UInt32
  var capabilityOffset: UInt32 = 0
  var size: UInt64 = 0
  /// Where in the descriptor the region begins.
  var offset: UInt64 = 0
  /// Which parts can be mapped, if not all of it can.
  var areas: [Area] = []

  /// How long the description is with `areas`, as ``argumentSize`` says it.
  static func count(areas: Int) -> Int {
    areas == 0 ? count : count + Self.capabilityCount + areas * Area.count
  }

  // `vfio_region_info_cap_sparse_mmap`: id, version, next, count and padding.
  static var capabilityCount: Int { 16 }
  private static var sparseMapID: UInt16 { 1 }
  // A longer chain of capabilities is none.
  private static var capabilityLimit: Int { 16 }

  /// The description as it is sent; areas follow right behind it.
  func append(to bytes: inout NativeBytes) {
    bytes.append(argumentSize)
    bytes.append(flags)
    bytes.append(index)
    bytes.append(capabilityOffset)
    bytes.append(size)
    bytes.append(offset)
    guard !areas.isEmpty else { return }
    bytes.append(Self.sparseMapID)
    bytes.append(UInt16(1))
    bytes.append(UInt32(0))
    bytes.append(UInt32(areas.count))
    bytes.append(UInt32(0))
    for area in areas {
      bytes.append(area.offset)
      bytes.append(area.size)
    }
  }

  /// Reads a description, whose length was checked, and the areas that follow.
  init(_ bytes: NativeBytes, _ command: VfioUserCommand) throws(VfioUserError) {
    argumentSize = bytes.word(at: 0)
    flags = bytes.word(at: 4)
    index = bytes.word(at: 8)
    capabilityOffset = bytes.word(at: 12)
    size = bytes.word(at: 16)
    offset = bytes.word(at: 24)
    let end = bytes.array.count
    guard end > Self.count, flags & Self.capabilityFlag != 0 else { return }
    var place = Int(capabilityOffset)
    for _ in 0..<Self.capabilityLimit {
      guard place != 0 else { return }
      guard place >= Self.count, place <= end - 8 else {
        throw .badValue(command, "a capability at \(place) of \(end) bytes")
      }
      let id: UInt16 = bytes.word(at: place)
      let next: UInt32 = bytes.word(at: place + 4)
      if id == Self.sparseMapID { areas = try Self.areas(bytes, at: place, command) }
      place = Int(next)
    }
    throw .badValue(command, "more than \(Self.capabilityLimit) capabilities")
  }

  private static func areas(
    _ bytes: NativeBytes,
    at place: Int,
    _ command: VfioUserCommand
  ) throws(VfioUserError) -> [Area] {
    let room = bytes.array.count - place - capabilityCount
    guard room >= 0 else { throw .badValue(command, "a capability cut short") }
    let number: UInt32 = bytes.word(at: place + 8)
    guard Int(number) <= room / Area.count else {
      throw .badValue(command, "\(number) areas in \(room) bytes")
    }
    return (0..<Int(number)).map { index in
      let start = place + capabilityCount + index * Area.count
      return Area(offset: bytes.word(at: start), size: bytes.word(at: start + 8))
    }
  }

  /// Asks for, or describes, region `index`.
  init(
    index: UInt32,
    argumentSize: UInt32 = UInt32(Self.count),
    flags: UInt32 = 0,
    size: UInt64 = 0,
    offset: UInt64 = 0,
    areas: [Area] = []
  ) {
    self.index = index
    self.argumentSize = argumentSize
    self.flags = areas.isEmpty ? flags : flags | Self.capabilityFlag
    self.size = size
    self.offset = offset
    self.areas = areas
    capabilityOffset = areas.isEmpty ? 0 : UInt32(Self.count)
  }
}
