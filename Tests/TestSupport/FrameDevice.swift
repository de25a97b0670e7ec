public import DeviceModel
import Synchronization

/// An author's device with memory that the guest reaches by itself.
///
/// Region 0 has registers, and two areas of memory between them: what is read at 0 is the byte at 0x1000, and a write
/// there puts the byte into the second area's first place. Region 2 is memory as a whole.
public final class FrameDevice: PCIDevice {
  /// Which parts of region 0 are memory.
  public static var areas: [Range<UInt64>] { [0x1000..<0x3000, 0x8000..<0x9000] }

  /// What it looks like, and how one is made.
  public static var model: PCIDeviceModel {
    PCIDeviceModel(
      PCIDeviceProfile(
        "frames",
        PCIIdentity(vendorID: 0x1234, deviceID: 0x5679, classCode: 0x03_80_00),
        regions: [
          PCIRegion(0, size: 0x1_0000, memory: areas),
          PCIRegion(2, size: 0x2000, memory: [0..<0x2000]),
        ],
        vectorCount: 1
      )
    ) {
      FrameDevice($0)
    }
  }

  private let first: any DeviceRegionMemory
  private let asked = Mutex<[BusAccess]>([])

  /// Makes one.
  public init(_ host: DeviceHost) { first = host.memory(ofRegion: 0) }

  /// What it was asked for, in order.
  public var accesses: [BusAccess] { asked.withLock { $0 } }

  /// Reads a byte of the first area.
  public func read(_ access: BusAccess) -> UInt64 {
    asked.withLock { $0.append(access) }
    return UInt64(first.read(at: 0x1000, count: 1)[0])
  }

  /// Writes a byte to the second area.
  public func write(_ value: UInt64, _ access: BusAccess) {
    asked.withLock { $0.append(access) }
    first.write([UInt8(truncatingIfNeeded: value)], at: 0x8000)
  }

  /// Has nothing to forget.
  public func reset() {}

  /// Has nothing but its memory, which is the host's to save.
  public func save() -> [UInt8] { [] }

  /// Takes nothing.
  public func restore(_ state: [UInt8]) throws(DeviceStateError) {
    guard state.isEmpty else { throw .trailing(state.count) }
  }
}
