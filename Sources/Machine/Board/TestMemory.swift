import DeviceModel
import Platform

/// The test device's range in the memory space, which is its range 2.
final class TestMemory: BusDevice {
  private let device: TestDevice

  init(_ device: TestDevice) { self.device = device }

  func read(_ access: BusAccess) -> UInt64 { device.read(Self.moved(access)) }
  func write(_ value: UInt64, _ access: BusAccess) { device.write(value, Self.moved(access)) }

  private static func moved(_ access: BusAccess) -> BusAccess {
    BusAccess(region: 2, offset: access.offset, width: access.width)
  }
}
