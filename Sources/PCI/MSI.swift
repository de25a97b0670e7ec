public import DeviceModel
public import HostOS
import Logging
import Synchronization

/// A function's message-signalled interrupts of the older kind (PCI 3.0, 6.8.1): one address for all of them, and data that
/// differ in the low bits.
///
/// All of it is in the configuration registers. A device signals a vector's eventfd from any thread, here or in another
/// process; as with ``MSIX``, a vector that is masked has its eventfd unplugged, and what waits in that is pending.
public final class MSI: Sendable {
  /// What the capability has.
  public struct Layout: Equatable, Sendable {
    /// How many vectors the function has: 1, 2, 4, 8, 16 or 32.
    public var vectorCount: Int
    /// Whether the address has 64 bits.
    public var is64Bit: Bool
    /// Whether each vector can be masked.
    public var hasMasks: Bool

    /// Describes a capability.
    public init(vectorCount: Int, is64Bit: Bool = true, hasMasks: Bool = true) {
      precondition(
        (1...32).contains(vectorCount) && vectorCount & (vectorCount - 1) == 0,
        "MSI with \(vectorCount) vectors"
      )
      self.vectorCount = vectorCount
      self.is64Bit = is64Bit
      self.hasMasks = hasMasks
    }

    /// Where the data are, from the capability's start.
    var dataOffset: Int { is64Bit ? 12 : 8 }
    /// Where the mask bits are; the pending bits follow.
    var maskOffset: Int { dataOffset + 4 }
    /// The length in bytes.
    public var count: Int { hasMasks ? maskOffset + 8 : dataOffset + 2 }
  }

  private struct Entry {
    // What the eventfd is plugged into.
    var routed: InterruptMessage?
    var isPending = false
  }

  private struct State {
    var entries: [Entry]
    var isComplaining = false
  }

  /// What the capability has.
  public let layout: Layout
  /// Where it begins in the configuration registers.
  public let offset: Int
  private let configuration: PCIConfigurationSpace
  private let interrupts: [any MessageInterrupt]
  // Held while interrupts are rerouted: two vCPUs that mask and unmask must not overtake one another. Lock order: this
  // before the configuration's.
  private let state: Mutex<State>
  private let enabled = Atomic(false)
  // How many of the vectors the guest lets the function use.
  private let allocated = Atomic(1)
  private let logger = Logger(label: "apus.pci.msi")

  /// Adds the capability to `configuration`, and makes the vectors' interrupts.
  ///
  /// - Parameters:
  ///   - layout: What the capability has.
  ///   - configuration: The function's registers.
  ///   - place: Where the capability is, if it is in the list already; else it is appended.
  ///   - allocator: Where the interrupts come from.
  /// - Throws: What `allocator` throws.
  public init(
    _ layout: Layout,
    in configuration: PCIConfigurationSpace,
    at place: Int? = nil,
    from allocator: any MessageInterruptAllocator
  ) throws {
    self.layout = layout
    self.configuration = configuration
    interrupts = try (0..<layout.vectorCount).map { _ in try allocator.makeMessageInterrupt() }
    state = Mutex(State(entries: Array(repeating: Entry(), count: layout.vectorCount)))
    var body = [UInt8](repeating: 0, count: layout.count - 2)
    var writable = [UInt8](repeating: 0, count: layout.count - 2)
    // 6.8.1.3: how many there are, as a power of 2; enable and how many are allocated can be written.
    body[0] = UInt8(layout.vectorCount.trailingZeroBitCount << 1) | (layout.is64Bit ? 0x80 : 0)
    body[1] = layout.hasMasks ? 1 : 0
    writable[0] = 0x71
    writable.replaceSubrange(2..<6, with: [0xFC, 0xFF, 0xFF, 0xFF])
    if layout.is64Bit { writable.replaceSubrange(6..<10, with: [UInt8](repeating: 0xFF, count: 4)) }
    let data = layout.dataOffset - 2
    writable.replaceSubrange(data..<data + 2, with: [0xFF, 0xFF])
    if layout.hasMasks {
      let bits = UInt32.max >> UInt32(32 - layout.vectorCount)
      for byte in 0..<4 {
        writable[layout.maskOffset - 2 + byte] = UInt8(truncatingIfNeeded: bits >> UInt32(8 * byte))
      }
    }
    if let place {
      for (index, byte) in body.enumerated() {
        configuration.define(
          place + 2 + index,
          width: 1,
          UInt32(byte),
          writable: UInt32(writable[index])
        )
      }
      offset = place
    } else {
      offset = configuration.addCapability(.msi, body, writable: writable)
    }
    configuration.setMessageControl(ofMSI: offset + 2)
  }

  /// The number of vectors.
  public var vectorCount: Int { layout.vectorCount }

  /// Whether the guest has enabled MSI; otherwise the device uses its INTx pin, or MSI-X.
  public var isEnabled: Bool { enabled.load(ordering: .acquiring) }

  /// The eventfd that raises `vector`, or `nil` if there is no such vector.
  public func trigger(_ vector: Int) -> EventFD? {
    interrupts.indices.contains(vector) ? interrupts[vector].trigger : nil
  }

  /// Raises `vector`, or the one that stands for it where the guest has allocated fewer; nothing happens if there is no
  /// such vector.
  public func signal(_ vector: Int) {
    guard interrupts.indices.contains(vector) else { return }
    interrupts[vector & (allocated.load(ordering: .acquiring) - 1)].signal()
  }

  /// Lets every vector follow the registers.
  func update() {
    state.withLock { state in
      let control = configuration.read(offset + 2, width: 2)
      let isEnabled = control & 1 != 0
      let shift = min(Int(control >> 4 & 0b111), layout.vectorCount.trailingZeroBitCount)
      allocated.store(1 << shift, ordering: .releasing)
      enabled.store(isEnabled, ordering: .releasing)
      var address = UInt64(configuration.read(offset + 4, width: 4))
      if layout.is64Bit { address |= UInt64(configuration.read(offset + 8, width: 4)) << 32 }
      let data =
        configuration.read(offset + layout.dataOffset, width: 2) & ~(1 << UInt32(shift) - 1)
      let masks = layout.hasMasks ? configuration.read(offset + layout.maskOffset, width: 4) : 0
      for vector in interrupts.indices {
        let isPlugged = isEnabled && vector < 1 << shift && masks >> UInt32(vector) & 1 == 0
        let message = InterruptMessage(address: address, data: data | UInt32(vector))
        route(vector, to: isPlugged ? message : nil, &state)
      }
      notePending(&state)
    }
  }

  /// Forgets what is pending; the registers were reset before.
  public func reset() {
    update()
    state.withLock { state in
      for vector in interrupts.indices {
        if state.entries[vector].routed == nil { _ = interrupts[vector].takePending() }
        state.entries[vector].isPending = false
      }
      notePending(&state)
    }
  }

  /// Unplugs all vectors: what is signalled from here on reaches nobody.
  func withdraw() {
    state.withLock { state in
      for vector in interrupts.indices { route(vector, to: nil, &state) }
    }
  }

  /// Brings the pending bits up to date, before a guest reads them.
  func prepareRead(_ place: Int, width: Int) {
    guard layout.hasMasks, place < offset + layout.count, place + width > offset + layout.count - 4
    else { return }
    state.withLock { notePending(&$0) }
  }

  private func notePending(_ state: inout State) {
    guard layout.hasMasks else { return }
    var bits: UInt32 = 0
    for vector in interrupts.indices {
      let isPending: Bool
      if let keeps = interrupts[vector].keepsPending {
        isPending = keeps
      } else {
        collect(vector, &state)
        isPending = state.entries[vector].isPending
      }
      if isPending { bits |= 1 << UInt32(vector) }
    }
    configuration.store(bits, offset + layout.count - 4, width: 4)
  }

  /// Moves what waits in the eventfd of an unplugged vector into its pending bit.
  private func collect(_ vector: Int, _ state: inout State) {
    guard state.entries[vector].routed == nil else { return }
    if interrupts[vector].takePending() { state.entries[vector].isPending = true }
  }

  private func route(_ vector: Int, to message: InterruptMessage?, _ state: inout State) {
    guard message != state.entries[vector].routed else { return }
    if message != nil { collect(vector, &state) }
    do {
      try interrupts[vector].route(to: message)
    } catch {
      // The vector stays as it was, and the next change tries again.
      if !state.isComplaining { logger.error("cannot route MSI vector \(vector): \(error)") }
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
