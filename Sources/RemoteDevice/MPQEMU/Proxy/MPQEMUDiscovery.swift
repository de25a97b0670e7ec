import DeviceModel
import HostOS
import PCI

/// What a remote's device is: its identity, its BARs and its pin, as its registers say.
struct MPQEMUDiscovery {
  let identity: PCIIdentity
  let bars: [PCIBAR]
  let pin: PCIInterruptPin.Pin?

  private typealias Register = MPQEMUProxy.Register

  /// Asks the remote.
  ///
  /// - Throws: ``MPQEMUError`` if it fails, ``MPQEMUProxyError`` for what cannot be part of a machine.
  init(_ link: MPQEMULink) throws {
    let registers = Registers(link: link)
    // QEMU's remote answers before its start is over, which ends with a reset of the whole machine as soon as there
    // is nothing to answer: what was written by then is lost, and a BAR that was being sized looks like none.
    for _ in 0..<Self.tries {
      let isMarked = try registers.mark()
      let found = Result { try Self(reading: registers) }
      if isMarked, (try? registers.isMarked) == false { continue }
      self = try found.get()
      try registers.write(0, Register.interruptLine, 1)
      return
    }
    self = try Self(reading: registers)
  }

  // A start has one end.
  private static var tries: Int { 3 }

  private init(reading registers: Registers) throws {
    let vendor = try registers.read(0x00, 2)
    let device = try registers.read(0x02, 2)
    guard vendor != 0, vendor != 0xFFFF else { throw MPQEMUProxyError.noDevice }
    let header = try registers.read(Register.headerType, 1) & 0x7F
    guard header == 0 else { throw MPQEMUProxyError.notAFunction(headerType: UInt8(header)) }
    let kind = try registers.read(0x08, 4)
    identity = PCIIdentity(
      vendorID: UInt16(truncatingIfNeeded: vendor),
      deviceID: UInt16(truncatingIfNeeded: device),
      revision: UInt8(truncatingIfNeeded: kind),
      classCode: kind >> 8,
      subsystemVendorID: UInt16(truncatingIfNeeded: try registers.read(0x2C, 2)),
      subsystemID: UInt16(truncatingIfNeeded: try registers.read(0x2E, 2))
    )
    pin = PCIInterruptPin.Pin(
      rawValue: UInt8(truncatingIfNeeded: try registers.read(Register.interruptPin, 1))
    )
    // Nothing is to be decoded where sizing puts it for a moment.
    try registers.write(0, Register.command, 2)
    var bars: [PCIBAR] = []
    var index = 0
    while index < 6 {
      let bar = try Self.bar(index, registers)
      if let bar { bars.append(bar) }
      index += bar?.is64Bit == true ? 2 : 1
    }
    self.bars = bars
  }

  /// Sizes a BAR as PCI 3.0, 6.2.5.1 says, and leaves it as it was.
  private static func bar(_ index: Int, _ registers: Registers) throws -> PCIBAR? {
    let (type, mask) = try registers.size(index)
    guard type & 1 == 0 else {
      // The upper half may be hardwired to zero.
      let bits = UInt64(mask & 0xFFFC)
      guard bits != 0 else { return nil }
      return try PCIBAR(checking: index, .port, bits | 0xFFFF_FFFF_FFFF_0000)
    }
    let isPrefetchable = type & 8 != 0
    let low = mask & ~0xF
    guard type & 6 == 4 else {
      guard low != 0 else { return nil }
      return try PCIBAR(
        checking: index,
        .memory32(prefetchable: isPrefetchable),
        UInt64(low) | 0xFFFF_FFFF_0000_0000
      )
    }
    guard index < 5 else { throw MPQEMUProxyError.badBAR(index, mask: UInt64(mask)) }
    let high = try registers.size(index + 1).mask
    let bits = UInt64(high) << 32 | UInt64(low)
    guard bits != 0 else { return nil }
    return try PCIBAR(checking: index, .memory64(prefetchable: isPrefetchable), bits)
  }

  private struct Registers {
    let link: MPQEMULink

    func read(_ offset: Int, _ width: Int) throws(MPQEMUError) -> UInt32 {
      let value = try link.ask(.readConfiguration(.init(offset, width: width)))
      return UInt32(truncatingIfNeeded: value) & UInt32.max >> UInt32(32 - 8 * width)
    }

    func write(_ value: UInt32, _ offset: Int, _ width: Int) throws(MPQEMUError) {
      try link.ask(.writeConfiguration(.init(offset, width: width, value: value)))
    }

    /// Notes something in a register that is the driver's, which a reset of the device takes away.
    ///
    /// - Returns: Whether the register keeps it.
    func mark() throws(MPQEMUError) -> Bool {
      try write(Self.sign, Register.interruptLine, 1)
      for _ in 0..<Self.pauses {
        // The remote finds nothing to answer, unless the host is so busy that it does not get to look.
        var list = PollList()
        list.wait(timeout: Self.pause)
        guard try !isMarked else { continue }
        try write(Self.sign, Register.interruptLine, 1)
        return try isMarked
      }
      return true
    }

    /// Whether it is still there.
    var isMarked: Bool {
      get throws(MPQEMUError) { try read(Register.interruptLine, 1) == Self.sign }
    }

    private static var sign: UInt32 { 0xA5 }
    private static var pauses: Int { 5 }
    // In milliseconds.
    private static var pause: Int32 { 10 }

    /// A register's value, and which of its bits take a one.
    func size(_ index: Int) throws(MPQEMUError) -> (type: UInt32, mask: UInt32) {
      let offset = Register.bars + 4 * index
      let before = try read(offset, 4)
      try write(.max, offset, 4)
      let mask = try read(offset, 4)
      try write(before, offset, 4)
      return (mask, mask)
    }
  }
}

extension PCIBAR {
  /// The BAR whose address has these bits, if it is one that a machine has room for.
  fileprivate init(checking index: Int, _ kind: Kind, _ mask: UInt64) throws {
    let size = 0 &- mask
    let sizes: ClosedRange<UInt64> =
      switch kind {
      case .port: 4...256
      case .memory32: 16...0x8000_0000
      case .memory64: 16...1 << 62
      }
    guard size.nonzeroBitCount == 1, sizes.contains(size) else {
      throw MPQEMUProxyError.badBAR(index, mask: mask)
    }
    self.init(index, kind, size: size)
  }
}
