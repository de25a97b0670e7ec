/// The parts of a region in which writes go to eventfds, or the question for them
/// (`vfio_user_region_io_fds`).
struct VfioUserRegionIOFDs: Equatable, Sendable {
  /// The length in bytes, without parts.
  static var count: Int { 16 }

  /// One part.
  struct Part: Equatable, Sendable {
    /// The length in bytes.
    static var count: Int { 40 }
    /// What the descriptor is.
    static var ioEvent: UInt32 { 0 }
    static var ioRegion: UInt32 { 1 }
    static var shadow: UInt32 { 2 }
    /// Only writes of ``dataMatch`` go to the eventfd (`KVM_IOEVENTFD_FLAG_DATAMATCH`).
    static var dataMatchFlag: UInt32 { 1 << 0 }

    var offset: UInt64
    /// The width of the writes; 0 for any.
    var size: UInt64
    /// Which of the descriptors that came.
    var descriptor: UInt32
    var type: UInt32 = Self.ioEvent
    var flags: UInt32 = 0
    var dataMatch: UInt64 = 0
  }

  /// In a request the room that there is for the reply, in a reply what it would take.
  var argumentSize: UInt32
  var flags: UInt32 = 0
  var index: UInt32
  /// How many parts there are; in a reply without room they are not in it.
  var partCount: UInt32 = 0
  var parts: [Part] = []

  /// How long the description is with `parts`, as ``argumentSize`` says it.
  static func count(parts: Int) -> Int { count + parts * Part.count }
}

extension VfioUserRegionIOFDs {
  /// The description as it is sent.
  func append(to bytes: inout NativeBytes) {
    bytes.append(argumentSize)
    bytes.append(flags)
    bytes.append(index)
    bytes.append(partCount)
    for part in parts {
      bytes.append(part.offset)
      bytes.append(part.size)
      bytes.append(part.descriptor)
      bytes.append(part.type)
      bytes.append(part.flags)
      bytes.append(UInt32(0))
      bytes.append(part.dataMatch)
    }
  }

  /// Reads a description; each part's descriptor is one of `descriptors`.
  init(
    _ bytes: NativeBytes,
    descriptors: Int,
    _ command: VfioUserCommand
  ) throws(VfioUserError) {
    argumentSize = bytes.word(at: 0)
    flags = bytes.word(at: 4)
    index = bytes.word(at: 8)
    partCount = bytes.word(at: 12)
    let room = bytes.array.count - Self.count
    guard room > 0 else { return }
    guard room == Int(partCount) * Part.count else {
      throw .wrongSize(
        command,
        bytes.array.count,
        expected: Self.count + Int(partCount) * Part.count
      )
    }
    for number in 0..<Int(partCount) {
      let start = Self.count + number * Part.count
      let part = Part(
        offset: bytes.word(at: start),
        size: bytes.word(at: start + 8),
        descriptor: bytes.word(at: start + 16),
        type: bytes.word(at: start + 20),
        flags: bytes.word(at: start + 24),
        dataMatch: bytes.word(at: start + 32)
      )
      guard part.type <= Part.shadow else {
        throw .badValue(command, "a part of type \(part.type)")
      }
      guard Int(part.descriptor) < descriptors else {
        throw .badValue(command, "descriptor \(part.descriptor) of \(descriptors)")
      }
      parts.append(part)
    }
  }
}
