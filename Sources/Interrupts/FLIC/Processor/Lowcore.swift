/// The 8 KiB at a processor's prefix: where interruptions store what they are about, and where their
/// PSWs are (Principles of Operation, chapter 3, "Assigned Storage Locations").
///
/// All numbers in it are big-endian.
public struct Lowcore: Equatable, Sendable {
  /// 8192 bytes.
  public static var size: Int { 8192 }

  /// Where the assigned locations are; all are real addresses.
  public enum Location {
    /// Four bytes.
    public static var externalParameter: Int { 0x80 }
    /// Two bytes; the hypervisor's interruptions have a subcode there.
    public static var externalCPUAddress: Int { 0x84 }
    /// Two bytes.
    public static var externalCode: Int { 0x86 }
    /// One byte, stored as 1 by machine checks.
    public static var architecturalMode: Int { 0xA3 }
    /// Two bytes.
    public static var subchannelID: Int { 0xB8 }
    /// Two bytes.
    public static var subchannelNumber: Int { 0xBA }
    /// Four bytes.
    public static var ioParameter: Int { 0xBC }
    /// Four bytes.
    public static var ioWord: Int { 0xC0 }
    /// Eight bytes.
    public static var machineCheckCode: Int { 0xE8 }
    /// Four bytes.
    public static var externalDamageCode: Int { 0xF4 }
    /// Eight bytes.
    public static var failingStorageAddress: Int { 0xF8 }
    /// A PSW.
    public static var externalOldPSW: Int { 0x130 }
    /// A PSW.
    public static var machineCheckOldPSW: Int { 0x160 }
    /// A PSW.
    public static var ioOldPSW: Int { 0x170 }
    /// A PSW.
    public static var externalNewPSW: Int { 0x1B0 }
    /// A PSW.
    public static var machineCheckNewPSW: Int { 0x1E0 }
    /// A PSW.
    public static var ioNewPSW: Int { 0x1F0 }
    /// Eight bytes, used by the hypervisor's interruptions.
    public static var externalParameter64: Int { 0x11B8 }
    /// 16 registers of eight bytes.
    public static var floatingPointSaveArea: Int { 0x1200 }
    /// 16 registers of eight bytes.
    public static var generalSaveArea: Int { 0x1280 }
    /// 16 bytes: the fixed logout.
    public static var fixedLogout: Int { 0x1300 }
    /// Four bytes.
    public static var floatingPointControlSaveArea: Int { 0x131C }
    /// Four bytes.
    public static var todProgrammableSaveArea: Int { 0x1324 }
    /// Eight bytes.
    public static var cpuTimerSaveArea: Int { 0x1328 }
    /// Eight bytes: a zero, and bits 0 to 55 of the clock comparator.
    public static var clockComparatorSaveArea: Int { 0x1330 }
    /// 16 registers of four bytes.
    public static var accessSaveArea: Int { 0x1340 }
    /// 16 registers of eight bytes.
    public static var controlSaveArea: Int { 0x1380 }
  }

  /// The bytes, 8192 of them.
  public private(set) var bytes = [UInt8](repeating: 0, count: size)

  /// Makes a lowcore of zeroes.
  public init() {}

  /// The number at `offset`.
  public func load<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
    bytes.span.load(type, at: offset, .big)
  }

  /// Stores a number at `offset`.
  public mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
    var span = bytes.mutableSpan
    span.store(value, at: offset, .big)
  }

  /// The PSW at `offset`.
  public func psw(at offset: Int) -> ProgramStatusWord {
    ProgramStatusWord(
      mask: load(UInt64.self, at: offset),
      address: load(UInt64.self, at: offset + 8)
    )
  }

  /// Stores a PSW at `offset`.
  public mutating func store(_ psw: ProgramStatusWord, at offset: Int) {
    store(psw.mask, at: offset)
    store(psw.address, at: offset + 8)
  }
}
