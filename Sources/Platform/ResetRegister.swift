public import DeviceModel
import Synchronization

/// The reset control register at port 0xCF9 (Intel I/O Controller Hub 9 datasheet, 13.7.5).
///
/// Bit 1 chooses a hard reset, bit 2 starts it when it goes from 0 to 1, bit 3 adds a power cycle.
/// Every kind resets the whole machine. It claims one port.
public final class ResetRegister: BusDevice {
  /// The port it is at on a PC.
  public static var port: UInt64 { 0xCF9 }
  /// What to write to reset the machine: the ACPI reset value.
  public static var resetValue: UInt8 { 0x06 }

  private let value = Mutex<UInt8>(0)
  private let system: any SystemControl

  /// Makes a register that resets `system`.
  public init(system: any SystemControl) { self.system = system }

  /// Reads back what was written.
  public func read(_ access: BusAccess) -> UInt64 {
    guard access.offset == 0 else { return 0 }
    return value.withLock { UInt64($0) }
  }

  /// Resets the machine if bit 2 rises.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard access.offset == 0 else { return }
    let new = UInt8(truncatingIfNeeded: value) & 0x0E
    let resets = self.value.withLock { value in
      let rises = value & 0x04 == 0 && new & 0x04 != 0
      // The reset clears the register with everything else.
      value = rises ? 0 : new
      return rises
    }
    if resets { system.request(.reset) }
  }

  /// What was written last, to be saved and put back; putting it back resets nothing.
  public var savedState: UInt8 {
    get { value.withLock { $0 } }
    set { value.withLock { $0 = newValue & 0x0E } }
  }

  /// Clears the register.
  public func reset() { value.withLock { $0 = 0 } }
}
