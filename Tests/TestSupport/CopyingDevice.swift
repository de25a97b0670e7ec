public import DeviceModel
public import GuestMemory
import Synchronization

/// An author's device: copies memory, says how it went, and interrupts.
///
/// Offset 0 is the source, 8 the destination, 0x10 starts a copy of so many bytes, 0x14 is 1 after one that succeeded and 2 after one
/// that failed, and 0x18 requests an interrupt until it is written 0. Widths are 4 and 8. The second region echoes
/// what was written there last, one byte wide.
public final class CopyingDevice: PCIDevice {
  /// What it looks like, and how one is made.
  public static var model: PCIDeviceModel {
    PCIDeviceModel(
      PCIDeviceProfile(
        "copier",
        PCIIdentity(vendorID: 0x1234, deviceID: 0x5678, classCode: 0xFF_00_00),
        regions: [
          PCIRegion(0, size: 64, widths: [.four, .eight]), PCIRegion(2, size: 16, widths: .one),
        ],
        vectorCount: 3
      )
    ) {
      CopyingDevice($0)
    }
  }

  private struct State {
    var source: UInt64 = 0
    var destination: UInt64 = 0
    var outcome: UInt64 = 0
    var isRequesting = false
    var echo: UInt64 = 0
    var accesses: [BusAccess] = []
  }

  private let host: DeviceHost
  private let state = Mutex(State())

  /// Makes one.
  public init(_ host: DeviceHost) { self.host = host }

  /// What it was asked, in order.
  public var accesses: [BusAccess] { state.withLock { $0.accesses } }

  /// Reads a register.
  public func read(_ access: BusAccess) -> UInt64 {
    state.withLock { state in
      state.accesses.append(access)
      if access.region == 2 { return state.echo }
      return switch (access.offset, access.width) {
      case (0, 8): state.source
      case (0, 4): state.source & 0xFFFF_FFFF
      case (4, 4): state.source >> 32
      case (8, 8): state.destination
      case (0x14, 4): state.outcome
      case (0x18, 4): state.isRequesting ? 1 : 0
      default: 0
      }
    }
  }

  /// Writes a register.
  public func write(_ value: UInt64, _ access: BusAccess) {
    state.withLock { state in
      state.accesses.append(access)
      if access.region == 2 {
        state.echo = value
        return
      }
      switch (access.offset, access.width) {
      case (0, 8): state.source = value
      case (0, 4): state.source = state.source & ~0xFFFF_FFFF | value
      case (4, 4): state.source = state.source & 0xFFFF_FFFF | value << 32
      case (8, 8): state.destination = value
      case (8, 4): state.destination = state.destination & ~0xFFFF_FFFF | value
      case (0xC, 4): state.destination = state.destination & 0xFFFF_FFFF | value << 32
      case (0x10, 4): state.outcome = copy(state, Int(min(value, 4096)))
      case (0x18, 4): request(value != 0, &state)
      default: break
      }
    }
  }

  /// Forgets everything.
  public func reset() { state.withLock { $0 = State() } }

  /// The registers, in order.
  public func save() -> [UInt8] {
    state.withLock { state in
      var writer = StateWriter(version: 1)
      writer.append(state.source)
      writer.append(state.destination)
      writer.append(UInt8(truncatingIfNeeded: state.outcome))
      writer.append(state.isRequesting)
      writer.append([UInt8(truncatingIfNeeded: state.echo)])
      return writer.bytes
    }
  }

  /// Takes what ``save()`` has made.
  public func restore(_ bytes: [UInt8]) throws(DeviceStateError) {
    var reader = try StateReader(bytes, version: 1)
    var restored = State()
    restored.source = try reader.next()
    restored.destination = try reader.next()
    restored.outcome = UInt64(try reader.next(UInt8.self))
    let isRequesting = try reader.nextFlag()
    restored.echo = UInt64(try reader.nextBytes(count: 1)[0])
    try reader.end()
    state.withLock { state in
      state = restored
      request(isRequesting, &state)
    }
  }

  private func request(_ isRequesting: Bool, _ state: inout State) {
    state.isRequesting = isRequesting
    if isRequesting { host.interrupts.request(1) } else { host.interrupts.withdraw() }
  }

  private func copy(_ state: State, _ count: Int) -> UInt64 {
    do throws(DMAError) {
      let bytes = try host.memory.read(at: GuestAddress(state.source), count: count)
      try host.memory.write(bytes, at: GuestAddress(state.destination))
      return 1
    } catch {
      host.report("\(error)")
      return 2
    }
  }
}
