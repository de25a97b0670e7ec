import DeviceModel
import GuestMemory
import Logging
import PCI
import TestSupport
import Virtio

/// A device behind PCI at 00:03.0, driven as a guest's driver does.
struct PCITransportRig {
  static let base: UInt64 = 0xE000_0000

  let probe: TransportProbe
  let space = FakePCIAddressSpace()
  let messages = FakeMessageInterrupts()
  let doorbells = FakeDoorbells()
  let line = RecordingLine()
  let bus: PCIRootBus
  let transport: PCITransport
  let address = PCIAddress(device: 3)

  init(
    hasMSIX: Bool = true,
    hasDoorbells: Bool = true,
    configurationCount: Int = 16,
    line other: (any InterruptLine)? = nil
  ) throws {
    probe = TransportProbe(configurationCount: configurationCount)
    bus = PCIRootBus(in: space)
    transport = try PCITransport(
      probe,
      memory: GuestMemory(count: 1 << 20),
      line: other ?? line,
      messages: hasMSIX ? messages : nil,
      doorbells: hasDoorbells ? doorbells : nil,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    try bus.add(transport, at: address)
    place(at: Self.base)
    configure(0x04, 0x6, width: 2)
  }

  // MARK: Configuration space

  func configure(_ offset: Int, _ value: UInt64, width: Int = 4) {
    bus.write(value, address, offset, width: width)
  }

  func configuration(_ offset: Int, width: Int = 4) -> UInt64 {
    bus.read(address, offset, width: width)
  }

  func place(at base: UInt64) {
    configure(0x10, base & 0xFFFF_FFFF)
    configure(0x14, base >> 32)
  }

  /// The offsets of the capabilities with number `id`, in the list's order.
  func capabilities(_ id: UInt64) -> [Int] {
    var found: [Int] = []
    var next = Int(configuration(0x34, width: 1))
    while next != 0, found.count < 48 {
      if configuration(next, width: 1) == id { found.append(next) }
      next = Int(configuration(next + 1, width: 1))
    }
    return found
  }

  /// The offset of the vendor-specific capability of type `kind`.
  func capability(_ kind: UInt64) -> Int? {
    capabilities(0x09).first { configuration($0 + 3, width: 1) == kind }
  }

  /// Where in the BAR the structure of type `kind` is.
  func structure(_ kind: UInt64) -> UInt64 {
    capability(kind).map { configuration($0 + 8) } ?? .max
  }

  func enableMSIX() {
    capabilities(0x11).forEach { configure($0 + 2, 0x8000, width: 2) }
    for vector in 0..<UInt64(3) {
      let entry = Self.base + tableOffset + 16 * vector
      space.write(0xFEE0_0000, entry, width: 8)
      space.write(0x50 + vector, entry + 8, width: 8)
    }
  }

  var tableOffset: UInt64 { capabilities(0x11).first.map { configuration($0 + 4) } ?? .max }

  // MARK: Registers

  func read(_ offset: UInt64, width: Int, of kind: UInt64 = 1) -> UInt64 {
    space.read(Self.base + structure(kind) + offset, width: width)
  }

  func write(_ offset: UInt64, _ value: UInt64, width: Int, of kind: UInt64 = 1) {
    space.write(value, Self.base + structure(kind) + offset, width: width)
  }

  var interruptStatus: UInt64 { read(0, width: 1, of: 3) }

  /// Takes the device up to DRIVER_OK with queue 0 enabled.
  func start() {
    for status in [1, 3] as [UInt64] { write(0x14, status, width: 1) }
    write(0x08, 1, width: 4)
    write(0x0C, 1, width: 4)
    write(0x14, 0xB, width: 1)
    write(0x16, 0, width: 2)
    write(0x20, 0x1000, width: 8)
    write(0x28, 0x2000, width: 8)
    write(0x30, 0x3000, width: 8)
    write(0x1C, 1, width: 2)
    write(0x14, 0xF, width: 1)
  }
}
