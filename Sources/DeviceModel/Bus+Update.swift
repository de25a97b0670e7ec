import Glibc
import HostOS
import Synchronization

/// What an update replaced: released when the accesses that may use it are over.
struct BusRetirement: Sendable {
  var tables: [BusTable] = []
  /// The removed device; `nil` if the update removed none.
  let claim: BusClaim?
  /// The accesses that were under way when the update was published.
  var accesses: [BusAccessInProgress] = []

  init(_ table: BusTable?, claim: BusClaim?) {
    if let table { tables.append(table) }
    self.claim = claim
  }

  /// Whether no access can use the tables any more.
  var isFree: Bool { accesses.allSatisfy(\.isOver) }

  func freeTables() {
    for table in tables { table.free() }
  }
}

extension Bus {
  /// How long a waiting update sleeps before it looks again, in microseconds.
  private static var pause: UInt32 { 50 }
  /// How often an update that need not wait looks before it leaves the rest to the readers.
  private static var patience: Int { 10 }
  /// The least time between two updates from outside accesses that interrupt the readers, in nanoseconds.
  private static var interval: UInt64 { 200_000 }
  /// How many tables may wait for a handler that does not return before updates from inside accesses are slowed.
  private static var retiredLimit: Int { 256 }
  /// The delay of such an update, in microseconds.
  private static var delay: UInt32 { 1000 }

  /// Changes the bus and disposes of what the change replaced.
  ///
  /// - Parameters:
  ///   - waiting: Whether to wait for every access in progress, if the calling thread is in none itself.
  ///   - change: Changes the state, and returns what is to be released, or `nil` for no change.
  /// - Throws: What `change` throws; then nothing was changed.
  func update<E: Error>(
    waiting: Bool,
    _ change: (inout State) throws(E) -> BusRetirement?
  ) throws(E) {
    let isInside = BusReaders.thisThreadIsInside
    let result: (BusRetirement, [BusReader])? = try state.withLock { (state) throws(E) in
      guard var retirement = try change(&state) else { return nil }
      self.root.publish(state.table)
      // To ask the readers interrupts the processors that they run on, so tables that hold nothing but
      // memory are gathered first.
      state.superseded += retirement.tables
      if !waiting, !isInside, Self.canWait(state.superseded) { return nil }
      retirement.tables = state.superseded
      state.superseded = []
      return (retirement, state.readers)
    }
    guard let (replaced, readers) = result else { return }
    var retirement = replaced
    if !isInside, !readers.isEmpty { pace() }
    retirement.accesses = accessesInProgress(of: readers)
    if !isInside { wait(for: &retirement.accesses, untilOver: waiting) }
    if retirement.isFree {
      retirement.freeTables()
      reclaim()
    } else {
      postpone(retirement)
    }
  }

  /// Sleeps until the readers may be interrupted again, which costs each of them 5 to 10 µs.
  ///
  /// A thread that adds and removes devices in a loop leaves them 95 % of their time; a removal by itself
  /// waits for nothing here.
  private func pace() {
    let (last, now) = (lastAsked.load(ordering: .relaxed), MonotonicClock.nanoseconds)
    let next = max(now, last &+ Self.interval)
    lastAsked.store(next, ordering: .relaxed)
    if next > now { usleep(UInt32(truncatingIfNeeded: (next &- now) / 1000 &+ 1)) }
  }

  /// Whether these tables are little enough memory to keep for a while: about 3 MB.
  private static func canWait(_ tables: [BusTable]) -> Bool {
    tables.count <= 16 && tables.reduce(0) { $0 + $1.count } <= 1 << 16
  }

  /// The accesses that may have found a table that was just replaced.
  ///
  /// A reader marks itself active, then loads the table; this thread stored the table, and now looks for the mark.
  /// Each needs a full barrier in between, or both may miss the other. The process barrier
  /// stands for both; without it the readers have fences of their own (BusView.enter).
  private func accessesInProgress(of readers: [BusReader]) -> [BusAccessInProgress] {
    if readers.isEmpty { return [] }
    barrier()
    return readers.compactMap { reader in
      reader.access.map { BusAccessInProgress(reader: reader, access: $0) }
    }
  }

  private func barrier() {
    if usesProcessBarrier {
      ProcessBarrier.issue()
    } else {
      atomicMemoryFence(ordering: .sequentiallyConsistent)
    }
  }

  /// Waits for accesses to end: without limit, or only as long as register accesses usually take.
  ///
  /// It sleeps and looks again, so that leaving an access costs the vCPU nothing. A busier wait would take the
  /// readers' cache lines from them with each look; and a thread that updates in a loop lets them
  /// get to know a table before it makes the next.
  private func wait(for accesses: inout [BusAccessInProgress], untilOver: Bool) {
    var looks = 0
    while true {
      accesses.removeAll(where: \.isOver)
      if accesses.isEmpty { return }
      looks += 1
      if looks > Self.patience, !untilOver { return }
      usleep(Self.pause)
    }
  }

  /// Leaves a retirement to the last reader that leaves one of its accesses.
  private func postpone(_ retirement: BusRetirement) {
    let count = state.withLock { state in
      state.retired.append(retirement)
      return state.retired.count
    }
    for access in retirement.accesses { access.reader.requestReclaim() }
    // A reader stores that it left, then loads the request; this thread stored the request, and now looks whether it left:
    // the same pattern as in `accessesInProgress`. A reader seen inside from here on will see the request.
    barrier()
    reclaim()
    // A guest that moves ranges in a loop while a device holds one of its vCPUs up would fill our memory with
    // tables. A delay bounds the rate and, unlike waiting, cannot deadlock.
    if count > Self.retiredLimit { usleep(Self.delay) }
  }

  /// Releases every retirement whose accesses are over.
  func reclaim() {
    let free = state.withLock { state in
      var free: [BusRetirement] = []
      var kept: [BusRetirement] = []
      // Each is looked at once: an access may end between two looks.
      for retirement in state.retired {
        if retirement.isFree { free.append(retirement) } else { kept.append(retirement) }
      }
      state.retired = kept
      return free
    }
    // The devices go with `free`, here, outside the lock: their `deinit` may call the bus.
    for retirement in free { retirement.freeTables() }
  }

  /// Puts the ranges of `claim` at `bases` in the next table.
  func place(
    _ claim: BusClaim,
    id: UInt64,
    at bases: [UInt64?],
    in state: inout State
  ) throws(BusError) -> BusRetirement? {
    var moved = claim
    moved.bases = bases
    for (region, (base, size)) in zip(bases, claim.sizes).enumerated() {
      guard let base, base > space.last || size - 1 > space.last - base else { continue }
      throw .outside(name: claim.name, region: region, base: base, size: size, last: space.last)
    }
    let wanted = moved.mappings.sorted { $0.addresses.lowerBound < $1.addresses.lowerBound }
    for (one, next) in zip(wanted, wanted.dropFirst())
    where next.addresses.lowerBound <= one.addresses.upperBound {
      throw .overlap(wanted: next, existing: one)
    }
    let replaced = claim.keys
    for mapping in wanted {
      guard let existing = conflict(with: mapping, otherThan: replaced, in: state) else { continue }
      throw .overlap(wanted: mapping, existing: existing)
    }
    let added = wanted.map {
      BusInsertion(addresses: $0.addresses, region: $0.region, device: claim.device)
    }
    let table = state.table
    state.table = BusTable.make(editing: table, removing: replaced, adding: added)
    state.claims[id] = moved
    return BusRetirement(table, claim: nil)
  }

  /// The lowest range with an address of `mapping`, other than those that start at `replaced`.
  private func conflict(
    with mapping: BusMapping,
    otherThan replaced: [UInt64],
    in state: State
  ) -> BusMapping? {
    guard let table = state.table else { return nil }
    var index = table.index(atOrBelow: mapping.addresses.upperBound)
    var found: UInt64?
    while index >= 0, unsafe table.slot(index).pointee.last >= mapping.addresses.lowerBound {
      let first = table.first(index)
      if first <= mapping.addresses.upperBound, !replaced.contains(first) { found = first }
      index -= 1
    }
    guard let found else { return nil }
    for claim in state.claims.values {
      if let existing = claim.mappings.first(where: { $0.addresses.lowerBound == found }) {
        return existing
      }
    }
    preconditionFailure("no claim for the range at 0x\(String(found, radix: 16))")
  }
}
