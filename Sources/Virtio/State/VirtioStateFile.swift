import GuestMemory
public import HostOS
import Synchronization

/// A file of memory in which a device's process keeps its state, for the one that takes over when it dies.
///
/// The state is there twice: the older copy is overwritten, then one store makes it the newer. So whoever reads
/// finds the one or the other, whenever the writer was killed. Behind them is what the queues note about
/// requests under way (``InflightRegion``). Whatever is in the file is checked as anybody's. Any thread may
/// call; one process has the file at a time.
public final class VirtioStateFile: Sendable {
  /// The length of a file; one that is longer has bytes that nobody uses.
  ///
  /// Pages that nothing was written to take no memory.
  public static var byteCount: UInt64 { 4 << 20 }

  private enum Place {
    /// The number of the newest copy, counted from 1 on; 0 in a new file.
    static var newest: UInt64 { 0 }
    static var copies: UInt64 { 0x1000 }
    static var copySize: UInt64 { 0x20000 }
    static var inflight: UInt64 { copies + 2 * copySize }
    /// What a copy begins with: its number and its length.
    static var header: UInt64 { 16 }
  }

  private let memory: GuestMemory
  private let inflight: GuestMemory
  // Held over the making of a copy, so that the newest is the one that was taken last.
  private let turn = Mutex(())

  /// Maps a file.
  ///
  /// - Throws: `SharedMappingError` if it is no file of memory, or too short.
  public init(_ file: borrowing OwnedFileDescriptor) throws {
    let fault = try EventFD()
    memory = try Self.map(file, 0, Place.inflight, fault)
    inflight = try Self.map(file, Place.inflight, Self.byteCount - Place.inflight, fault)
  }

  private static func map(
    _ file: borrowing OwnedFileDescriptor,
    _ offset: UInt64,
    _ count: UInt64,
    _ fault: EventFD
  ) throws(SharedMappingError) -> GuestMemory {
    let mapping = try SharedMapping(of: file, offset: offset, count: count, fault: fault)
    return GuestMemory(shared: [SharedRegion(start: GuestAddress(0), mapping: mapping)])
  }

  /// The newest state; `nil` if nothing was ever kept.
  ///
  /// - Throws: ``VirtioStateError`` for bytes that are none.
  public func load() throws(VirtioStateError) -> VirtioFunctionState? {
    let number = memory.ringWord64(at: GuestAddress(Place.newest))
    guard number > 0 else { return nil }
    let copy = Self.copy(number)
    let count = memory.ringWord64(at: copy &+ 8)
    guard memory.ringWord64(at: copy) == number, count <= Place.copySize - Place.header,
      let bytes = try? memory.read(at: copy &+ Place.header, count: Int(count))
    else { throw .badField("the newest copy") }
    return try VirtioFunctionState(bytes: bytes)
  }

  /// Has the file say that a process has left this state in order; no process has the file.
  public func replace(with state: VirtioFunctionState) {
    // Its pages take no memory until they are used.
    _ = try? inflight.discard(GuestAddress(0), count: Self.byteCount - Place.inflight)
    keep { state }
  }

  /// Keeps what `state` returns, which is called once it is this call's turn; nothing if that is nothing.
  func keep(_ state: () -> VirtioFunctionState?) {
    turn.withLock { _ in
      guard let bytes = state()?.bytes, UInt64(bytes.count) <= Place.copySize - Place.header else {
        return
      }
      let number = memory.ringWord64(at: GuestAddress(Place.newest)) &+ 1
      let copy = Self.copy(number)
      try? memory.write(bytes, at: copy &+ Place.header)
      memory.setRingWord64(UInt64(bytes.count), at: copy &+ 8)
      memory.setRingWord64(number, at: copy)
      // Last: with it, this is the newest. Who reads after our death finds stores in the order in which they
      // were made.
      atomicMemoryFence(ordering: .releasing)
      memory.setRingWord64(number, at: GuestAddress(Place.newest))
    }
  }

  /// Where queues note what is under way; `nil` if there is no room for so many.
  func region(queueCount: Int, queueSize: UInt16, isPacked: Bool) -> InflightRegion? {
    InflightRegion(
      inflight,
      queueCount: queueCount,
      queueSize: queueSize,
      isPacked: isPacked
    )
  }

  private static func copy(_ number: UInt64) -> GuestAddress {
    GuestAddress(Place.copies + (number & 1) * Place.copySize)
  }
}
