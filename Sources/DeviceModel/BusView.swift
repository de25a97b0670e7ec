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
    let mark = enter()
    let value: UInt64
    switch route(address, width) {
    case .device(let slot, let offset): value = unsafe slot.pointee.read(offset, width)
    case .nobody:
      countUnclaimed()
      value = lowBytes(width)
    case .several: value = readPieces(address, width)
    }
    leave(mark)
    return value
  }

  /// Applies a write of the guest's.
  ///
  /// - Parameters:
  ///   - value: What is written, in the low `8 * width` bits; the others do not matter.
  ///   - address: The first byte's address.
  ///   - width: 1 to 8 bytes; one that is no power of two is split.
  public func write(_ value: UInt64, at address: UInt64, width: Int) {
    let mark = enter()
    switch route(address, width) {
    case .device(let slot, let offset): unsafe slot.pointee.write(value, offset, width)
    case .nobody: countUnclaimed()
    case .several: writePieces(value, address, width)
    }
    leave(mark)
  }
}

extension BusView {
  /// Who answers an access.
  @safe
  private enum Route {
    /// One device has every byte.
    case device(UnsafeMutablePointer<BusSlot>, offset: UInt64)
    /// No device has any byte.
    case nobody
    /// The bytes have different owners, or the width is no power of two.
    case several
  }

  /// Marks this thread as inside an access; tables found from here on stay until ``leave(_:)``.
  ///
  /// - Returns: The mark before: even, or odd in an access made by a handler.
  @inline(__always)
  private func enter() -> UInt {
    let mark = unsafe record.pointee.active.load(ordering: .relaxed)
    // Before `active`, which releases it: a thread that sees the mark sees whose it is.
    unsafe record.pointee.owner.store(apus_thread_token(), ordering: .relaxed)
    unsafe record.pointee.active.store(mark | 1, ordering: .releasing)
    if unsafe record.pointee.flags.load(ordering: .relaxed) & BusReader.Flag.fences != 0 { fence() }
    // Pairs with the barrier in Bus.accessesInProgress: the mark is stored before the table is loaded.
    apus_compiler_barrier()
    return mark
  }

  /// Ends the access that ``enter()`` began, or nothing if that was inside another.
  @inline(__always)
  private func leave(_ mark: UInt) {
    let next = mark &+ ((mark & 1) ^ 1) &* 2
    // Releases all that was read of tables and devices to whoever frees them.
    unsafe record.pointee.active.store(next, ordering: .releasing)
    // Pairs with the barrier in Bus.postpone: the mark is stored before the flags are loaded.
    apus_compiler_barrier()
    if unsafe record.pointee.flags.load(ordering: .relaxed) != 0 { left() }
  }

  @inline(never)
  private func fence() {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  /// The rest of ``leave(_:)``, where a flag is set.
  @inline(never)
  private func left() {
    fence()
    let isInside = unsafe record.pointee.active.load(ordering: .relaxed) & 1 == 1
    if isInside { return }
    let flags = unsafe record.pointee.flags.bitwiseAnd(~BusReader.Flag.reclaim, ordering: .relaxed)
    guard flags.oldValue & BusReader.Flag.reclaim != 0 else { return }
    local.reclaim()
    bus.reclaim()
  }

  @inline(__always)
  func countUnclaimed() {
    // One thread writes, so no read-modify-write.
    let count = unsafe record.pointee.unclaimed.load(ordering: .relaxed)
    unsafe record.pointee.unclaimed.store(count &+ 1, ordering: .relaxed)
  }

  @inline(__always)
  private func route(_ address: UInt64, _ width: Int) -> Route {
    let last = address &+ UInt64(truncatingIfNeeded: width &- 1)
    // Widths 1, 2, 4 and 8 are whole; an access that passes the end of the space is not.
    guard last >= address, width < 16, 0x116 &>> width & 1 != 0 else { return .several }
    if let table = localRoot.load() {
      // The last range that starts within or before the access: if that one does not touch it, none does.
      let index = table.index(atOrBelow: last)
      let slot = unsafe table.slot(index)
      let first = table.first(index)
      if first <= last, unsafe slot.pointee.last >= address {
        guard first <= address, unsafe slot.pointee.last >= last else { return .several }
        return unsafe .device(slot, offset: address &- first)
      }
    }
    if let table = busRoot.load() {
      let index = table.index(atOrBelow: last)
      let slot = unsafe table.slot(index)
      let first = table.first(index)
      if first <= last, unsafe slot.pointee.last >= address {
        guard first <= address, unsafe slot.pointee.last >= last else { return .several }
        return unsafe .device(slot, offset: address &- first)
      }
    }
    return .nobody
  }
}
