public import DeviceModel

/// QEMU's `isa-debug-exit`: a write ends the process with `(value << 1) | 1`.
///
/// Four ports, by custom at 0xF4. A test program says how it went this way; an even code never comes
/// from it. Reads give zero.
public final class DebugExit: BusDevice {
  /// The first port, by custom.
  public static var port: UInt64 { 0xF4 }
  /// How many ports it claims.
  public static var size: UInt64 { 4 }

  private let system: any SystemControl

  /// Makes a device that ends `system`.
  public init(system: any SystemControl) { self.system = system }

  /// Zero.
  public func read(_ access: BusAccess) -> UInt64 { 0 }

  /// Ends the process.
  public func write(_ value: UInt64, _ access: BusAccess) {
    let code = UInt32(truncatingIfNeeded: value) << 1 | 1
    system.request(.exit(code: Int32(bitPattern: code)))
  }
}
