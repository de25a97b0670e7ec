public import DeviceModel
import Synchronization

/// QEMU's firmware configuration device (`fw_cfg`), port interface without DMA (QEMU,
/// docs/specs/fw_cfg).
///
/// Two ports, by custom at 0x510: a 16-bit write to the first selects an item and starts it over; each
/// byte read from the second is the item's next. Items that do not exist, and what lies behind an
/// item's end, read as zero. Nothing is writable.
public final class FirmwareConfiguration: BusDevice {
  /// The first port, by custom.
  public static var port: UInt64 { 0x510 }
  /// How many ports it claims.
  public static var size: UInt64 { 2 }

  /// A range of guest memory as the E820 table tells it.
  public struct MemoryRange: Equatable, Sendable {
    /// The first address.
    public var address: UInt64
    /// The length in bytes.
    public var count: UInt64
    /// 1 for usable memory, 2 for reserved (ACPI 6.5, 15.1).
    public var type: UInt32

    /// Describes `count` bytes from `address`.
    public init(address: UInt64, count: UInt64, type: UInt32) {
      self.address = address
      self.count = count
      self.type = type
    }
  }

  private enum Key {
    static var signature: UInt16 { 0x0000 }
    static var id: UInt16 { 0x0001 }
    static var memorySize: UInt16 { 0x0003 }
    static var processorCount: UInt16 { 0x0005 }
    static var maximumProcessorCount: UInt16 { 0x000F }
    static var directory: UInt16 { 0x0019 }
    static var firstFile: UInt16 { 0x0020 }
    static var memoryMap: UInt16 { 0x8003 }
  }

  private struct State {
    var selected: UInt16 = 0
    var position = 0
  }

  private let items: [UInt16: [UInt8]]
  private let state = Mutex(State())

  /// Makes the device with its items.
  ///
  /// - Parameters:
  ///   - memorySize: Bytes of RAM.
  ///   - processorCount: How many processors there are.
  ///   - memoryMap: The E820 table; it becomes the file `etc/e820` too.
  public init(memorySize: UInt64, processorCount: Int, memoryMap: [MemoryRange]) {
    let processors = UInt16(clamping: processorCount)
    let table = memoryMap.flatMap { range in
      Self.little(range.address) + Self.little(range.count) + Self.little(range.type)
    }
    items = [
      Key.signature: Array("QEMU".utf8),
      // Bit 0: the interface of selector and data port; bit 1 would be DMA.
      Key.id: Self.little(UInt32(0x0001)),
      Key.memorySize: Self.little(memorySize),
      Key.processorCount: Self.little(processors),
      Key.maximumProcessorCount: Self.little(processors),
      Key.memoryMap: Self.little(UInt32(memoryMap.count)) + table,
      Key.directory: Self.directory([("etc/e820", table.count)]),
      Key.firstFile: table,
    ]
  }

  /// Reads the next bytes of the selected item from the data port.
  public func read(_ access: BusAccess) -> UInt64 {
    guard access.offset == 1 else { return 0 }
    return state.withLock { state in
      let item = items[state.selected] ?? []
      return access.readBytes { _ in
        guard state.position < item.count else { return 0 }
        defer { state.position += 1 }
        return item[state.position]
      }
    }
  }

  /// Selects an item.
  public func write(_ value: UInt64, _ access: BusAccess) {
    guard access.offset == 0, access.width == 2 else { return }
    state.withLock { state in
      state.selected = UInt16(truncatingIfNeeded: value)
      state.position = 0
    }
  }

  /// The selected item, and how many bytes of it were read; to be saved and put back.
  public var savedState: (item: UInt16, position: UInt32) {
    get { state.withLock { ($0.selected, UInt32(clamping: $0.position)) } }
    set {
      state.withLock { state in
        state.selected = newValue.item
        state.position = Int(newValue.position)
      }
    }
  }

  /// Selects the signature, as after power-on.
  public func reset() { state.withLock { $0 = State() } }

  private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// The file directory, in which numbers are big-endian.
  private static func directory(_ files: [(name: String, size: Int)]) -> [UInt8] {
    func big(_ value: some FixedWidthInteger) -> [UInt8] { little(value.byteSwapped) }
    var bytes = big(UInt32(files.count))
    for (index, file) in files.enumerated() {
      bytes += big(UInt32(file.size)) + big(Key.firstFile + UInt16(index)) + [0, 0]
      let name = Array(file.name.utf8.prefix(55))
      bytes += name + [UInt8](repeating: 0, count: 56 - name.count)
    }
    return bytes
  }
}
