import CLinux
import Synchronization

/// One vCPU's way to the devices of one address space: its own first, then the machine's.
///
/// A device on ``local``, such as a local APIC, eclipses whatever ``bus`` has at the same addresses, for this
/// view alone. Reads and writes belong to one thread at a time, the vCPU's; a handler may make
/// further accesses on the same view. Anything else may be called from any thread.
///
/// An address that nobody claims reads as all ones and swallows writes, as on a bus where nobody
/// drives the lines. An access that reaches beyond one device is split, each part going to its device in naturally
/// aligned pieces of 1, 2, 4 or 8 bytes; addresses past the last of the space are nobody's.
@safe
public final class BusView: @unchecked Sendable {
  // Sendable: nothing changes but the record, and its words are atomic.
  /// The machine's devices.
  public let bus: Bus
  /// The devices that only this view sees.
  public let local: Bus
  private let reader: BusReader
  // Copies of what `reader`, `bus` and `local` point to: one load less in a lookup.
  private let record: UnsafeMutablePointer<BusReaderRecord>
  let busRoot: BusRoot
  let localRoot: BusRoot

  /// Makes a view of `bus` with a level of its own in front.
  public init(of bus: Bus) {
    self.bus = bus
    local = Bus(bus.space, usesProcessBarrier: bus.usesProcessBarrier)
    reader = BusReader(fences: !bus.usesProcessBarrier)
    unsafe record = reader.record
    busRoot = bus.root
    localRoot = local.root
    BusReaders.add(reader)
    for level in [bus, local] { level.state.withLock { $0.readers.append(reader) } }
  }

  deinit {
    for level in [bus, local] {
      level.state.withLock {
        $0.readers.removeAll { $0 === reader }
        $0.unclaimed &+= reader.unclaimed
      }
    }
    BusReaders.remove(reader)
  }

  /// How many accesses of this view found no device for some of their bytes.
  public var unclaimedAccesses: UInt64 { reader.unclaimed }

  /// What the guest reads.
  ///
  /// - Parameters:
  ///   - address: The first byte's address.
  ///   - width: 1 to 8 bytes; one that is no power of two is split.
  /// - Returns: The value in the low `8 * width` bits, the others zero; bytes of nobody's are 0xFF.
  public func read(_ address: UInt64, width: Int) -> UInt64 {
    let mark = unsafe record.pointee.active.load(ordering: .relaxed)
    if _slowPath(!BusReader.Mark.isPlain(mark)) { return readSlowly(address, width) }
    enter(mark)
    let value = answer(address, width)
    leave()
    return value
  }

  /// Applies a write of the guest's.
  ///
  /// - Parameters:
  ///   - value: What is written, in the low `8 * width` bits; the others do not matter.
  ///   - address: The first byte's address.
  ///   - width: 1 to 8 bytes; one that is no power of two is split.
  public func write(_ value: UInt64, at address: UInt64, width: Int) {
    let mark = unsafe record.pointee.active.load(ordering: .relaxed)
    if _slowPath(!BusReader.Mark.isPlain(mark)) { return writeSlowly(value, address, width) }
    enter(mark)
    deliver(value, address, width)
    leave()
  }
}

extension BusView {
  /// Marks this thread as inside an access; tables found from here on stay until ``leave()``.
  @inline(__always)
  private func enter(_ mark: UInt) {
    // Before `active`, which releases it: a thread that sees the mark sees whose it is.
    unsafe record.pointee.owner.store(apus_thread_token(), ordering: .relaxed)
    unsafe record.pointee.active.store(mark &+ BusReader.Mark.inside, ordering: .releasing)
    // Pairs with the barrier in Bus.accessesInProgress: the mark is stored before the table is loaded.
    apus_compiler_barrier()
  }

  /// Ends the access that ``enter(_:)`` began.
  @inline(__always)
  private func leave() {
    exit()
    // Pairs with the barrier in Bus.postpone: the mark is stored before the request is loaded.
    apus_compiler_barrier()
    if _slowPath(unsafe record.pointee.reclaims.load(ordering: .relaxed)) { reclaim() }
  }

  /// Marks this thread as outside, and the access as another than the next.
  @inline(__always)
  private func exit() {
    // Loaded again, not kept: one register less to save in every access. Releases all that was read
    // of tables and devices to whoever frees them.
    let mark = unsafe record.pointee.active.load(ordering: .relaxed)
    let next = mark &- BusReader.Mark.inside &+ BusReader.Mark.step
    unsafe record.pointee.active.store(next, ordering: .releasing)
  }

  /// Releases what waited for this reader to leave.
  @inline(never)
  private func reclaim() {
    unsafe record.pointee.reclaims.store(false, ordering: .relaxed)
    // An update that asks from here on finds this reader outside, and does the work itself.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    local.reclaim()
    bus.reclaim()
  }

  /// ``read(_:width:)`` inside another access, or where this thread needs fences.
  @inline(never)
  private func readSlowly(_ address: UInt64, _ width: Int) -> UInt64 {
    let mark = unsafe record.pointee.active.load(ordering: .relaxed)
    if mark & BusReader.Mark.inside != 0 { return answer(address, width) }
    enterWithFence(mark)
    let value = answer(address, width)
    leaveWithFence()
    return value
  }

  /// ``write(_:at:width:)`` inside another access, or where this thread needs fences.
  @inline(never)
  private func writeSlowly(_ value: UInt64, _ address: UInt64, _ width: Int) {
    let mark = unsafe record.pointee.active.load(ordering: .relaxed)
    if mark & BusReader.Mark.inside != 0 { return deliver(value, address, width) }
    enterWithFence(mark)
    deliver(value, address, width)
    leaveWithFence()
  }

  private func enterWithFence(_ mark: UInt) {
    enter(mark)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  private func leaveWithFence() {
    exit()
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if _slowPath(unsafe record.pointee.reclaims.load(ordering: .relaxed)) { reclaim() }
  }

  /// Reads, inside an access.
  @inline(__always)
  private func answer(_ address: UInt64, _ width: Int) -> UInt64 {
    switch route(address, width) {
    case .device(let slot, let offset): return unsafe slot.pointee.read(offset, width)
    case .nobody:
      countUnclaimed()
      return lowBytes(width)
    case .several: return readPieces(address, width)
    }
  }

  /// Writes, inside an access.
  @inline(__always)
  private func deliver(_ value: UInt64, _ address: UInt64, _ width: Int) {
    switch route(address, width) {
    case .device(let slot, let offset): unsafe slot.pointee.write(value, offset, width)
    case .nobody: countUnclaimed()
    case .several: writePieces(value, address, width)
    }
  }

  @inline(__always)
  func countUnclaimed() {
    // One thread writes, so no read-modify-write.
    let count = unsafe record.pointee.unclaimed.load(ordering: .relaxed)
    unsafe record.pointee.unclaimed.store(count &+ 1, ordering: .relaxed)
  }

  @inline(__always)
  private func route(_ address: UInt64, _ width: Int) -> BusRoute {
    let more = UInt64(truncatingIfNeeded: width &- 1)
    let last = address &+ more
    guard 0b1_0001_0110 &>> width & 1 != 0 else { return .several }
    if let table = localRoot.load(), let route = table.route(address, more, last) { return route }
    if let table = busRoot.load(), let route = table.route(address, more, last) { return route }
    // An access that passes the end of the space was looked up from the wrong end.
    return last < address ? .several : .nobody
  }
}
