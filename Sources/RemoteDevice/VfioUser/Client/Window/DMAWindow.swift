import DeviceModel
import GuestMemory
import Synchronization
import Virtio

/// The part of the guest's memory that a virtio function of another process may use: what the driver's queues name.
///
/// Where the queues are is what the driver writes to the function's registers, which passes by here. The function's
/// process has no say in it. Only split queues are followed, so there is nothing to use for a driver that has agreed on
/// packed ones.
final class DMAWindow: Sendable {
  /// A queue as far as the driver has described it.
  private struct Description {
    var size: UInt16?
    /// Descriptor table, available ring and used ring, one after the other as in the registers.
    var places: [UInt8] = .init(repeating: 0, count: 24)

    func place(_ index: Int) -> UInt64 {
      places[8 * index..<8 * index + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  private struct State {
    var selected: UInt16 = 0
    var featureSelect: UInt32 = 0
    var isPacked = false
    var descriptions: [UInt16: Description] = [:]
    var queues: [UInt16: WindowQueue] = [:]
  }

  // The registers of 4.1.4.3 that say something of queues.
  private enum Register {
    static var featureSelect: UInt64 { 0x08 }
    static var features: UInt64 { 0x0C }
    static var status: UInt64 { 0x14 }
    static var queueSelect: UInt64 { 0x16 }
    static var queueSize: UInt64 { 0x18 }
    static var queueEnable: UInt64 { 0x1C }
    static var places: Range<UInt64> { 0x20..<0x38 }
    static var queueReset: UInt64 { 0x3A }
  }

  /// No device has more queues.
  private static var queueLimit: UInt16 { 1024 }

  private let registers: VfioUserShape.CommonRegisters
  // Held while the guest's memory is accessed, so that nothing is after a reset.
  private let state = Mutex(State())

  /// Watches the registers at that place.
  init(_ registers: VfioUserShape.CommonRegisters) { self.registers = registers }

  /// Watches the registers of a function, whose window is closed until its driver has made a queue.
  ///
  /// - Throws: ``VfioUserError`` if the function is no virtio device.
  convenience init(of shape: VfioUserShape) throws(VfioUserError) {
    guard let registers = shape.commonRegisters else {
      throw .lacks("the registers of a virtio device, by which its part of memory is known")
    }
    self.init(registers)
  }

  // MARK: What the driver does

  /// Takes in what the driver is about to write.
  func willWrite(_ value: UInt64, _ access: BusAccess, in memory: GuestMemory) {
    guard let offset = offset(access) else { return }
    state.withLock { state in
      switch offset {
      case Register.featureSelect: state.featureSelect = UInt32(truncatingIfNeeded: value)
      case Register.features:
        // VIRTIO_F_RING_PACKED is bit 34.
        if state.featureSelect == 1 { state.isPacked = value & 1 << 2 != 0 }
      case Register.queueSelect: state.selected = UInt16(truncatingIfNeeded: value)
      case Register.queueSize: change(&state) { $0.size = UInt16(truncatingIfNeeded: value) }
      case Register.places:
        change(&state) { description in
          for index in 0..<access.width {
            let place = Int(offset - Register.places.lowerBound) + index
            guard place < description.places.count else { break }
            description.places[place] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
          }
        }
      case Register.queueEnable:
        guard value & 1 != 0, !state.isPacked, state.queues[state.selected] == nil,
          let description = state.descriptions[state.selected], let size = description.size
        else { return }
        state.queues[state.selected] = WindowQueue(
          size: size,
          table: description.place(0),
          available: description.place(1),
          used: description.place(2),
          in: memory
        )
      default: break
      }
    }
  }

  /// Takes in what the driver has written, and the device has done: from a reset on, memory is the driver's again.
  func didWrite(_ value: UInt64, _ access: BusAccess) {
    guard let offset = offset(access) else { return }
    state.withLock { state in
      switch offset {
      case Register.status: if value & 0xFF == 0 { state = State() }
      case Register.queueReset: if value & 1 != 0 { state.queues[state.selected] = nil }
      default: break
      }
    }
  }

  /// Takes in what the driver has read: the size that a queue has unless the driver says another.
  func didRead(_ value: UInt64, _ access: BusAccess) {
    guard offset(access) == Register.queueSize else { return }
    state.withLock { state in
      change(&state) { description in
        let size = UInt16(truncatingIfNeeded: value)
        description.size = description.size.map { min($0, size) } ?? size
      }
    }
  }

  /// Closes the window: the function is as at power-on.
  func reset() { state.withLock { $0 = State() } }

  // MARK: What the device does

  /// Does `body`, an access of the device's to `count` bytes at `address`, if that is in the window.
  ///
  /// - Returns: What `body` returns; `nil` if the access is refused.
  func access<Result>(
    _ use: WindowQueue.Use,
    _ address: UInt64,
    _ count: UInt64,
    in memory: GuestMemory,
    written bytes: [UInt8] = [],
    _ body: () throws(GuestMemoryError) -> Result
  ) throws(GuestMemoryError) -> Result? {
    try state.withLock { (state) throws(GuestMemoryError) -> Result? in
      guard !state.isPacked else { return nil }
      for index in state.queues.keys {
        guard
          state.queues[index]?.allows(use, address, count, writing: bytes, in: memory) == true
        else { continue }
        return try body()
      }
      return nil
    }
  }

  private func change(_ state: inout State, _ body: (inout Description) -> Void) {
    // The places of an enabled queue stay (4.1.4.3.2).
    guard state.selected < Self.queueLimit, state.queues[state.selected] == nil else { return }
    body(&state.descriptions[state.selected, default: Description()])
  }

  /// Where in the registers an access begins.
  private func offset(_ access: BusAccess) -> UInt64? {
    guard access.region == registers.bar else { return nil }
    let offset = access.offset &- registers.offset
    return offset < 0x40 ? offset : nil
  }
}
