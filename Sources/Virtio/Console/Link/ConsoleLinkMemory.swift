import GuestMemory
package import HostOS
import Synchronization

/// What a console's process and the monitor that has its ends share, beside a socket for each port: a file of memory that
/// outlives the process.
///
/// The monitor says in it how often somebody came to the host's end of each port or went; it reads nothing. The process notes
/// what its successor has to know so that no byte is lost or moved twice.
package final class ConsoleLinkMemory: Sendable {
  /// What a queue was doing: the chain that is completed at a place moves the bytes from one position of the stream to another.
  struct Record: Equatable {
    /// Where the queue stood when the chain was begun; `nil` if there was none.
    var place: UInt16?
    /// The position of the chain's first byte, and of the one after its last.
    var start, end: UInt64
  }

  /// A way of a port's.
  enum Direction: UInt64 {
    case input = 0
    case output = 1
  }

  /// The length of the file.
  package static var byteCount: UInt64 { 0x3000 }

  private enum Place {
    static var openings: UInt64 { 0 }
    static var seen: UInt64 { 0x1000 }
    static var records: UInt64 { 0x2000 }
    /// A number, whose lowest bit says which of the two copies that follow is whole.
    static var recordSize: UInt64 { 64 }
    static var copySize: UInt64 { 24 }
  }
  // Of a record's first word: that there is a place.
  private static var hasPlace: UInt64 { 1 << 32 }

  private let memory: GuestMemory

  /// Makes the memory of a new link.
  ///
  /// - Throws: `SystemError` if the host has none left.
  package init() throws(SystemError) { memory = try GuestMemory(count: Self.byteCount) }

  /// Maps what another process has made.
  ///
  /// - Throws: `SharedMappingError` if it is no file of memory, or too short; `SystemError`.
  package init(_ file: borrowing OwnedFileDescriptor) throws {
    let mapping = try SharedMapping(
      of: file,
      offset: 0,
      count: Self.byteCount,
      fault: EventFD()
    )
    memory = GuestMemory(shared: [SharedRegion(start: GuestAddress(0), mapping: mapping)])
  }

  /// The file's descriptor, which lives as long as this object.
  package var number: Int32 {
    guard let number = memory.file.borrow({ $0.rawValue }) else {
      preconditionFailure("memory of our own without a file")
    }
    return number
  }

  // MARK: The host's ends

  /// How often somebody came to the host's end of a port, or went: odd while somebody is there.
  func openings(_ port: Int) -> UInt64 {
    memory.ringWord64(at: GuestAddress(Place.openings + 8 * UInt64(port)))
  }

  /// Says how often somebody came, or went.
  package func setOpenings(_ count: UInt64, of port: Int) {
    memory.setRingWord64(count, at: GuestAddress(Place.openings + 8 * UInt64(port)))
  }

  /// How often it was by the time that the device took notice.
  func seen(_ port: Int) -> UInt64 {
    memory.ringWord64(at: GuestAddress(Place.seen + 8 * UInt64(port)))
  }

  func setSeen(_ count: UInt64, of port: Int) {
    memory.setRingWord64(count, at: GuestAddress(Place.seen + 8 * UInt64(port)))
  }

  // MARK: Records

  func record(_ port: Int, _ direction: Direction) -> Record {
    let base = Self.base(port, direction)
    let copy = Self.copy(memory.ringWord64(at: base), base)
    let place = memory.ringWord64(at: copy)
    return Record(
      place: place & Self.hasPlace != 0 ? UInt16(truncatingIfNeeded: place) : nil,
      start: memory.ringWord64(at: copy &+ 8),
      end: memory.ringWord64(at: copy &+ 16)
    )
  }

  /// Notes what a queue is about to do; whoever reads after our death finds this or what was there before.
  func setRecord(_ record: Record, of port: Int, _ direction: Direction) {
    let base = Self.base(port, direction)
    let number = memory.ringWord64(at: base) &+ 1
    let copy = Self.copy(number, base)
    memory.setRingWord64(record.place.map { UInt64($0) | Self.hasPlace } ?? 0, at: copy)
    memory.setRingWord64(record.start, at: copy &+ 8)
    memory.setRingWord64(record.end, at: copy &+ 16)
    atomicMemoryFence(ordering: .releasing)
    memory.setRingWord64(number, at: base)
    atomicMemoryFence(ordering: .releasing)
  }

  private static func base(_ port: Int, _ direction: Direction) -> GuestAddress {
    GuestAddress(Place.records + (2 * UInt64(port) + direction.rawValue) * Place.recordSize)
  }

  private static func copy(_ number: UInt64, _ base: GuestAddress) -> GuestAddress {
    base &+ (8 + (number & 1) * Place.copySize)
  }
}
