import HostOS
import Synchronization

/// One address space, memory or port, and the devices in it.
///
/// Devices come, move and go while vCPU threads read through their ``BusView``s. A lookup takes no lock:
/// it searches an immutable table that an update replaces whole. Any thread may call any method.
///
/// *Updates and accesses.* ``remove(_:)`` returns once no thread can still be inside the device, so it waits for
/// the accesses in progress; the caller must hold no lock that a device's handler takes. An update made
/// from inside an access, on whichever bus (a guest that moves a BAR writes a register), never waits:
/// it takes effect for every access that begins afterwards, and what it replaced is released by the
/// last thread to leave the accesses of that moment. A handler must not wait for another
/// thread's removal.
///
/// A device is released after its removal, when no thread is inside it: its `deinit` may count on that.
@safe
public final class Bus: Sendable {
  /// Which addresses exist.
  public enum Space: Sendable {
    /// Guest-physical memory: 2^64 bytes.
    case memory
    /// x86 I/O ports: 2^16 (Intel SDM volume 1, 19.3).
    case port

    /// The last address.
    public var last: UInt64 { self == .memory ? .max : 0xFFFF }
  }

  struct State: Sendable {
    var table: BusTable?
    var claims: [UInt64: BusClaim] = [:]
    var readers: [BusReader] = []
    var retired: [BusRetirement] = []
    /// Tables that additions and moves replaced, until the next update that asks where the readers are.
    var superseded: [BusTable] = []
    /// Counted by views that are gone.
    var unclaimed: UInt64 = 0
  }

  /// Which addresses exist here.
  public let space: Space
  /// Whether readers rely on ``ProcessBarrier`` in place of fences of their own.
  let usesProcessBarrier: Bool
  /// Where readers find the table, in a cache line that nothing else writes to.
  let root: BusRoot
  let state = Mutex(State())
  /// When the readers were last asked where they are, in nanoseconds of the monotonic clock.
  let lastAsked = Atomic<UInt64>(0)

  /// Makes an empty bus.
  public convenience init(_ space: Space = .memory) {
    self.init(space, usesProcessBarrier: ProcessBarrier.isAvailable)
  }

  init(_ space: Space, usesProcessBarrier: Bool) {
    self.space = space
    self.usesProcessBarrier = usesProcessBarrier
    root = BusRoot()
  }

  deinit {
    // Views hold their buses, so no reader is left, and every retirement has become free to go.
    state.withLock { state in
      for retirement in state.retired { retirement.freeTables() }
      for table in state.superseded { table.free() }
      state.table?.free()
    }
    root.free()
  }

  /// Puts `device` on the bus.
  ///
  /// - Parameters:
  ///   - device: Answers accesses to the ranges; held until it is removed.
  ///   - name: What errors and the memory map call it.
  ///   - ranges: What it claims; the index is ``BusAccess/region``.
  /// - Returns: The ticket for ``move(_:region:to:)`` and ``remove(_:)``.
  /// - Throws: ``BusError`` if a range is empty, outside the space, or overlaps another; then nothing changes.
  public func register(
    _ device: any BusDevice,
    name: String,
    at ranges: [BusRange]
  ) throws(BusError) -> BusRegistration {
    let registration = BusRegistration(name: name, id: BusClaim.nextID())
    for (region, range) in ranges.enumerated() where range.size == 0 {
      throw .empty(name: name, region: region)
    }
    let claim = BusClaim(
      name: name,
      device: device,
      sizes: ranges.map(\.size),
      bases: ranges.map { _ in nil }
    )
    try update(waiting: false) { (state) throws(BusError) in
      try self.place(claim, id: registration.id, at: ranges.map(\.base), in: &state)
    }
    return registration
  }

  /// Moves one range of a device; the others stay.
  ///
  /// Accesses that began before the call may still reach the device at the old place.
  ///
  /// - Parameters:
  ///   - registration: The device.
  ///   - region: Which of its ranges, counted from 0.
  ///   - base: The new first address; `nil` takes the range off the bus for now.
  /// - Throws: ``BusError`` if the new place is taken or outside the space, or the device is gone; then nothing
  ///   changes.
  public func move(
    _ registration: BusRegistration,
    region: Int = 0,
    to base: UInt64?
  ) throws(BusError) {
    try update(waiting: false) { (state) throws(BusError) in
      guard let claim = state.claims[registration.id] else {
        throw .notRegistered(name: registration.name)
      }
      var bases = claim.bases
      bases[region] = base
      return try self.place(claim, id: registration.id, at: bases, in: &state)
    }
  }

  /// Moves all ranges of a device in one step, as when a PCI function's memory decode is switched.
  ///
  /// - Parameters:
  ///   - registration: The device.
  ///   - bases: The new first addresses, one for each range; `nil` takes a range off the bus for now.
  /// - Throws: As ``move(_:region:to:)``.
  public func move(_ registration: BusRegistration, to bases: [UInt64?]) throws(BusError) {
    try update(waiting: false) { (state) throws(BusError) in
      guard let claim = state.claims[registration.id] else {
        throw .notRegistered(name: registration.name)
      }
      precondition(
        bases.count == claim.sizes.count,
        "\(bases.count) places for the \(claim.sizes.count) ranges of \(claim.name)"
      )
      return try self.place(claim, id: registration.id, at: bases, in: &state)
    }
  }

  /// Takes a device off the bus; once is enough, again does nothing.
  ///
  /// From outside an access it returns when no thread is inside the device any more; from
  /// inside an access it returns at once.
  public func remove(_ registration: BusRegistration) {
    update(waiting: true) { state in
      guard let claim = state.claims.removeValue(forKey: registration.id) else { return nil }
      let table = state.table
      let next = BusTable.make(editing: table, removing: claim.keys, adding: [])
      state.table = next
      return BusRetirement(table, claim: claim)
    }
  }

  /// The memory map: every mapped range, by address.
  public var mappings: [BusMapping] {
    let all = state.withLock { $0.claims.values.flatMap(\.mappings) }
    return all.sorted { $0.addresses.lowerBound < $1.addresses.lowerBound }
  }

  /// How many accesses of all views, past and present, found no device for some of their bytes.
  public var unclaimedAccesses: UInt64 {
    state.withLock { $0.readers.reduce($0.unclaimed) { $0 &+ $1.unclaimed } }
  }
}
