/// The memory that is a part of a device's region, such as a frame buffer: the guest reads and writes it by itself, at
/// any time, and the device is not asked.
///
/// The guest may write anything, also while it is read here: what was read is to be checked, and read once. It is
/// zeroed at a reset, and is saved and restored with the device by the host. Any thread may call.
public protocol DeviceRegionMemory: AnyObject, Sendable {
  /// Reads `count` bytes from an offset in the region; all of them have to be memory.
  func read(at offset: UInt64, count: Int) -> [UInt8]
  /// Writes bytes to an offset in the region; all of them have to be memory.
  func write(_ bytes: [UInt8], at offset: UInt64)
}
