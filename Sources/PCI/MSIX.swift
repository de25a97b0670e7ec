public import DeviceModel
public import HostOS
import Logging
import Synchronization

/// A function's MSI-X capability, with its table and pending bits (PCI 3.0, 6.8.2).
///
/// The device signals a vector's eventfd from any thread, here or in another process, and knows
/// nothing of masks: the kernel, not this table, carries the signal to the guest. So that a signal
/// is never lost, a masked vector's eventfd is unplugged, and its *count* is the pending bit:
///
/// - *Masking* unplugs it. A signal before that is delivered, one after it stays in the count.
/// - *Reading the pending bits* moves the counts of unplugged vectors into `isPending`. Either the
///   count or `isPending` holds a signal at each moment, and the lock keeps the two from being
///   looked at while one moves.
/// - *Unmasking* first empties the count into `isPending`, then plugs the eventfd in, then signals
///   it if `isPending`. A signal that comes between the first two steps is found in the count by
///   the plugging itself. Emptying comes first because a count that was there before the plugging
///   is delivered but not consumed, and would look pending at the next mask.
///
/// Signals may merge, as PCI allows; a merged one is delivered after the last of them.
public final class MSIX: Sendable {
  /// The number of vectors.
  public let vectorCount: Int
  /// The BAR that holds the table and the pending bits.
  public let bar: Int
  /// Where in the BAR the table starts.
  public let tableOffset: UInt64
  /// Where in the BAR the pending bits start.
  public let pendingOffset: UInt64

  struct Entry {
    var address: UInt64 = 0
    var data: UInt32 = 0
    // 6.8.2.9: masked after reset.
    var isMasked = true
    var isPending = false
    // What the eventfd is plugged into.
    var routed: InterruptMessage?
  }

  struct State {
    var entries: [Entry]
    var isComplaining = false
  }

  private let configuration: PCIConfigurationSpace
  private let controlOffset: Int
  let interrupts: [any MessageInterrupt]
  // Held while interrupts are rerouted, a system call each: two vCPUs that mask and unmask one
  // vector must not overtake one another. Devices never take it: they signal eventfds.
  // Lock order: the table's before the configuration's.
  let state: Mutex<State>
  private let enabled = Atomic(false)
  private let observer = SharedAction()
  private let logger = Logger(label: "apus.pci.msix")

  /// The bytes that a table of `vectorCount` vectors takes.
  public static func tableSize(_ vectorCount: Int) -> UInt64 { UInt64(vectorCount) * 16 }
  /// The bytes that the pending bits of `vectorCount` vectors take.
  public static func pendingSize(_ vectorCount: Int) -> UInt64 { UInt64(vectorCount + 63) / 64 * 8 }

  /// Adds the capability to `configuration`, and makes the vectors' interrupts.
  ///
  /// - Parameters:
  ///   - vectorCount: The number of vectors, 1...2048.
  ///   - bar: The BAR that the table and the pending bits are in.
  ///   - tableOffset: Where in the BAR the table starts, a multiple of 8.
  ///   - pendingOffset: Where in the BAR the pending bits start, a multiple of 8.
  ///   - configuration: The function's registers, with the BAR in them.
  ///   - offset: Where the capability is, if it is in the list already; else it is appended.
  ///   - allocator: Where the interrupts come from.
  /// - Throws: What `allocator` throws.
  public init(
    vectorCount: Int,
    bar: Int,
    tableOffset: UInt64,
    pendingOffset: UInt64,
    in configuration: PCIConfigurationSpace,
    at offset: Int? = nil,
    from allocator: any MessageInterruptAllocator
  ) throws {
    precondition((1...2048).contains(vectorCount), "MSI-X with \(vectorCount) vectors")
    let size = configuration.bars.first { $0.index == bar }.map(\.size) ?? 0
    let tableEnd = tableOffset + Self.tableSize(vectorCount)
    let pendingEnd = pendingOffset + Self.pendingSize(vectorCount)
    precondition(
      (tableOffset | pendingOffset) % 8 == 0 && max(tableEnd, pendingEnd) <= size
        && (tableEnd <= pendingOffset || pendingEnd <= tableOffset),
      "MSI-X table at \(tableOffset) and pending bits at \(pendingOffset) in \(size) bytes"
    )
    self.vectorCount = vectorCount
    self.bar = bar
    self.tableOffset = tableOffset
    self.pendingOffset = pendingOffset
    self.configuration = configuration
    interrupts = try (0..<vectorCount).map { _ in try allocator.makeMessageInterrupt() }
    state = Mutex(State(entries: Array(repeating: Entry(), count: vectorCount)))

    // 6.8.2.3 to 6.8.2.5: message control, with enable and function mask writable, then the table's
    // and the pending bits' place.
    let words = [
      UInt32(truncatingIfNeeded: tableOffset) | UInt32(bar),
      UInt32(truncatingIfNeeded: pendingOffset) | UInt32(bar),
    ]
    let last = UInt16(vectorCount - 1)
    let body =
      [UInt8(truncatingIfNeeded: last), UInt8(truncatingIfNeeded: last >> 8)]
      + words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    let start: Int
    if let offset {
      for (index, byte) in body.enumerated() {
        let mask: UInt32 = index == 1 ? 0xC0 : 0
        configuration.define(offset + 2 + index, width: 1, UInt32(byte), writable: mask)
      }
      start = offset
    } else {
      start = configuration.addCapability(.msix, body, writable: [0x00, 0xC0])
    }
    controlOffset = start + 2
    configuration.setMessageControl(controlOffset)
  }

  /// Whether the guest has enabled MSI-X; otherwise the device uses its INTx pin.
  public var isEnabled: Bool { enabled.load(ordering: .acquiring) }

  /// The eventfd that raises `vector`, or `nil` if there is no such vector.
  ///
  /// It is the same one for the life of the function, whatever the guest masks or moves.
  public func trigger(_ vector: Int) -> EventFD? {
    interrupts.indices.contains(vector) ? interrupts[vector].trigger : nil
  }

  /// Raises `vector`; nothing happens if there is no such vector.
  public func signal(_ vector: Int) {
    guard interrupts.indices.contains(vector) else { return }
    interrupts[vector].signal()
  }

  /// Has `observer` called whenever MSI-X was enabled or disabled, or nobody any more.
  ///
  /// It must not wait: a vCPU's thread does.
  public func observeSwitch(_ observer: (@Sendable () -> Void)?) {
    self.observer.set(observer)
  }

  /// Lets every vector follow message control.
  func update() {
    let wasEnabled = isEnabled
    state.withLock { state in
      for vector in interrupts.indices { route(vector, &state) }
    }
    if isEnabled != wasEnabled { observer() }
  }

  /// Masks every vector and forgets what is pending; message control was reset before.
  public func reset() {
    state.withLock { state in
      for vector in interrupts.indices {
        state.entries[vector].isMasked = true
        route(vector, &state)
        if state.entries[vector].routed == nil { _ = interrupts[vector].takePending() }
        let routed = state.entries[vector].routed
        state.entries[vector] = Entry()
        state.entries[vector].routed = routed
      }
    }
  }

  // MARK: Table and pending bits

  /// Whether `offset` in the BAR belongs to the table or the pending bits.
  public func contains(_ offset: UInt64) -> Bool {
    offset &- tableOffset < Self.tableSize(vectorCount)
      || offset &- pendingOffset < Self.pendingSize(vectorCount)
  }

  /// Reads aligned words of 4 or 8 bytes; zero for any other width, which 6.8.2 leaves undefined.
  public func read(_ offset: UInt64, width: Int) -> UInt64 {
    guard width == 4 || width == 8, offset % UInt64(width) == 0 else { return 0 }
    return state.withLock { state in
      let low = word(offset, &state)
      return width == 4 ? low : low | word(offset &+ 4, &state) << 32
    }
  }

  /// Writes aligned words of 4 or 8 bytes; the pending bits are read-only.
  public func write(_ value: UInt64, _ offset: UInt64, width: Int) {
    guard width == 4 || width == 8, offset % UInt64(width) == 0 else { return }
    let position = offset &- tableOffset
    guard position < Self.tableSize(vectorCount) else { return }
    let vector = Int(position / 16)
    state.withLock { state in
      store(UInt32(truncatingIfNeeded: value), position % 16, &state.entries[vector])
      if width == 8 {
        store(UInt32(truncatingIfNeeded: value >> 32), position % 16 &+ 4, &state.entries[vector])
      }
      route(vector, &state)
    }
  }

  private func word(_ offset: UInt64, _ state: inout State) -> UInt64 {
    let position = offset &- tableOffset
    guard position < Self.tableSize(vectorCount) else {
      return pendingWord(offset &- pendingOffset, &state)
    }
    let entry = state.entries[Int(position / 16)]
    return switch position % 16 {
    case 0: entry.address & 0xFFFF_FFFF
    case 4: entry.address >> 32
    case 8: UInt64(entry.data)
    default: entry.isMasked ? 1 : 0
    }
  }

  private func store(_ value: UInt32, _ position: UInt64, _ entry: inout Entry) {
    switch position {
    // 6.8.2.6: the two low bits of the address are zero.
    case 0: entry.address = entry.address & ~0xFFFF_FFFF | UInt64(value & ~0b11)
    case 4: entry.address = entry.address & 0xFFFF_FFFF | UInt64(value) << 32
    case 8: entry.data = value
    default: entry.isMasked = value & 1 != 0
    }
  }

  /// The pending bits of the 32 vectors from `8 * position` on.
  private func pendingWord(_ position: UInt64, _ state: inout State) -> UInt64 {
    guard position < Self.pendingSize(vectorCount) else { return 0 }
    let first = Int(position) * 8
    var word: UInt64 = 0
    for vector in first..<max(first, min(first + 32, vectorCount)) {
      let isPending: Bool
      if let keeps = interrupts[vector].keepsPending {
        isPending = keeps
      } else {
        collect(vector, &state)
        isPending = state.entries[vector].isPending
      }
      if isPending { word |= 1 << UInt64(vector - first) }
    }
    return word
  }

  /// Moves what waits in the eventfd of an unplugged vector into its pending bit.
  func collect(_ vector: Int, _ state: inout State) {
    guard state.entries[vector].routed == nil else { return }
    if interrupts[vector].takePending() { state.entries[vector].isPending = true }
  }

  // MARK: Routing

  private func route(_ vector: Int, _ state: inout State) {
    let control = configuration.read(controlOffset, width: 2)
    let isEnabled = control & 0x8000 != 0
    enabled.store(isEnabled, ordering: .releasing)
    let entry = state.entries[vector]
    // 6.8.2.3: the function mask masks every vector, whatever its own mask bit says.
    let isPlugged = isEnabled && control & 0x4000 == 0 && !entry.isMasked
    let message =
      isPlugged ? InterruptMessage(address: entry.address, data: entry.data) : nil
    guard message != entry.routed else { return }
    if message != nil { collect(vector, &state) }
    do {
      try interrupts[vector].route(to: message)
    } catch {
      // The vector stays as it was, what is pending stays pending, and the next change tries again.
      if !state.isComplaining {
        logger.error("cannot route MSI-X vector \(vector): \(error)")
      }
      state.isComplaining = true
      return
    }
    state.entries[vector].routed = message
    if message != nil, state.entries[vector].isPending {
      state.entries[vector].isPending = false
      interrupts[vector].signal()
    }
  }
}
