import DeviceModel
import PCI

/// What a PCI function behind a server is: what cannot change while a guest has it.
struct VfioUserShape: Equatable, Sendable {
  /// Where MSI-X is, and what it has.
  struct MSIXCapability: Equatable, Sendable {
    let offset: Int
    let vectorCount: Int
    let table: (bar: Int, offset: UInt64)
    let pending: (bar: Int, offset: UInt64)

    static func == (left: Self, right: Self) -> Bool {
      left.offset == right.offset && left.vectorCount == right.vectorCount
        && left.table == right.table && left.pending == right.pending
    }
  }

  /// Where the registers of a virtio device are that its queues are described by (virtio 1.2, 4.1.4.3).
  struct CommonRegisters: Equatable, Sendable {
    let bar: Int
    let offset: UInt64
  }

  /// Where MSI is, and what it has.
  struct MSICapability: Equatable, Sendable {
    let offset: Int
    let layout: MSI.Layout
  }

  let identity: PCIIdentity
  /// The BARs as the guest finds them.
  let bars: [PCIBAR]
  /// How much of each BAR the server has, by its index.
  let sizes: [Int: UInt64]
  /// How much of the configuration space the server has.
  let configurationCount: Int
  /// The capabilities that the guest finds: where each is, in their order.
  let capabilities: [Int]
  let msix: MSIXCapability?
  /// `nil` if the function is no virtio device.
  let commonRegisters: CommonRegisters?
  /// Where MSI is, and what it has.
  let msi: MSICapability?
  /// Whether the function has an interrupt pin.
  let hasPin: Bool
  /// Whether the server can reset the function.
  let canReset: Bool
  /// Port BARs, which no guest of ours has a place for.
  let hiddenBARs: [Int]

  /// How many regions a server may speak of, and how many kinds of interrupts.
  private static var countLimit: UInt32 { 64 }

  /// Asks a server what it has.
  ///
  /// - Parameters:
  ///   - connection: After the greeting.
  ///   - deadline: When all of it is to be over.
  /// - Throws: ``VfioUserError`` for what no guest of ours can have.
  init(
    asking connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) {
    let info = try Self.info(connection, deadline)
    canReset = info.flags & VfioUserDeviceInfo.resetFlag != 0
    let space = try Self.region(VfioUserRegion.configuration, connection, deadline)
    guard space.size >= 256 else {
      throw .badValue(.getRegionInfo, "\(space.size) bytes of configuration space")
    }
    configurationCount = Int(min(space.size, UInt64(PCIConfigurationSpace.size)))
    let registers = try connection.readRegion(
      VfioUserRegion.configuration,
      offset: 0,
      count: 256,
      deadline
    )
    let bytes = NativeBytes(registers)
    let header: UInt8 = bytes.word(at: 0x0E)
    guard header & 0x7F == 0 else {
      throw .badValue(.readRegion, "a PCI header of type \(header & 0x7F), not 0")
    }
    identity = Self.identity(registers)
    guard identity.vendorID != 0xFFFF else {
      throw .badValue(.readRegion, "a function without a vendor")
    }
    var sizes: [Int: UInt64] = [:]
    for index in 0..<6 {
      let region = try Self.region(UInt32(index), connection, deadline)
      if region.size > 0 { sizes[index] = region.size }
    }
    let (bars, hidden) = try Self.bars(registers, sizes)
    (self.bars, hiddenBARs) = (bars, hidden)
    self.sizes = sizes.filter { !hidden.contains($0.key) }
    let chain = try Self.capabilities(registers)
    let msi = try Self.msi(registers, chain, connection, deadline)
    self.msi = msi
    capabilities = chain.filter { registers[$0] != Self.msiID || $0 == msi?.offset }
    let place = chain.first { registers[$0] == Self.msixID }
    let msix = try place.map { (offset) throws(VfioUserError) in
      try Self.msix(registers, offset, bars)
    }
    self.msix = msix
    commonRegisters =
      identity.vendorID == 0x1AF4 ? Self.commonRegisters(registers, chain) : nil
    let pin = registers[0x3D]
    guard pin <= 4 else { throw .badValue(.readRegion, "interrupt pin \(pin)") }
    let pinInfo = try Self.interrupts(VfioUserInterrupt.pin, connection, deadline)
    hasPin = pin > 0 && pinInfo.interruptCount > 0
    if let msix {
      let info = try Self.interrupts(VfioUserInterrupt.msix, connection, deadline)
      guard info.interruptCount >= UInt32(msix.vectorCount) else {
        throw .badValue(
          .getIRQInfo,
          "\(info.interruptCount) MSI-X interrupts for a table of \(msix.vectorCount)"
        )
      }
    }
  }

  // PCI 3.0, appendix H.
  private static var msiID: UInt8 { 0x05 }
  private static var msixID: UInt8 { 0x11 }
  private static var vendorID: UInt8 { 0x09 }

  /// MSI, if the server has interrupts for all of it; else the guest does not find it.
  private static func msi(
    _ registers: [UInt8],
    _ chain: [Int],
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> MSICapability? {
    guard let offset = chain.first(where: { registers[$0] == msiID }) else { return nil }
    let control = RegisterBytes(registers).word(offset) >> 16
    let shift = control >> 1 & 0b111
    guard shift <= 5 else {
      throw .badValue(.readRegion, "MSI of 2^\(shift) vectors")
    }
    let layout = MSI.Layout(
      vectorCount: 1 << Int(shift),
      is64Bit: control & 0x80 != 0,
      hasMasks: control & 0x100 != 0
    )
    let end = offset + layout.count
    guard end <= 256, !chain.contains(where: { $0 > offset && $0 < end }) else {
      throw .badValue(.readRegion, "MSI at \(offset), which goes on to \(end)")
    }
    let info = try interrupts(VfioUserInterrupt.msi, connection, deadline)
    return info.interruptCount < UInt32(layout.vectorCount)
      ? nil : MSICapability(offset: offset, layout: layout)
  }

  private static func info(
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> VfioUserDeviceInfo {
    let answer = try connection.ask(.getInfo(VfioUserDeviceInfo()), deadline: deadline)
    guard case .info(let info) = answer.reply else { return VfioUserDeviceInfo() }
    guard info.flags & VfioUserDeviceInfo.pciFlag != 0 else { throw .lacks("a PCI function") }
    guard (VfioUserRegion.configuration + 1...Self.countLimit).contains(info.regionCount),
      (VfioUserInterrupt.msix + 1...Self.countLimit).contains(info.interruptCount)
    else {
      throw .badValue(
        .getInfo,
        "\(info.regionCount) regions and \(info.interruptCount) kinds of interrupts"
      )
    }
    return info
  }

  private static func region(
    _ index: UInt32,
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> VfioUserRegionInfo {
    let answer = try connection.ask(
      .getRegionInfo(VfioUserRegionInfo(index: index)),
      deadline: deadline
    )
    guard case .regionInfo(let info) = answer.reply, info.index == index else {
      throw .badValue(.getRegionInfo, "another region than \(index)")
    }
    // A descriptor for mapping is closed: every access goes to the server.
    return info
  }

  private static func interrupts(
    _ index: UInt32,
    _ connection: VfioUserLink,
    _ deadline: UInt64
  ) throws(VfioUserError) -> VfioUserInterruptInfo {
    let answer = try connection.ask(
      .getInterruptInfo(VfioUserInterruptInfo(index: index)),
      deadline: deadline
    )
    guard case .interruptInfo(let info) = answer.reply, info.index == index else {
      throw .badValue(.getIRQInfo, "another kind of interrupts than \(index)")
    }
    return info
  }
}

/// What the registers say.
extension VfioUserShape {
  private static func identity(_ registers: [UInt8]) -> PCIIdentity {
    let words = RegisterBytes(registers)
    return PCIIdentity(
      vendorID: UInt16(truncatingIfNeeded: words.word(0x00)),
      deviceID: UInt16(truncatingIfNeeded: words.word(0x00) >> 16),
      revision: UInt8(truncatingIfNeeded: words.word(0x08)),
      classCode: words.word(0x08) >> 8,
      subsystemVendorID: UInt16(truncatingIfNeeded: words.word(0x2C)),
      subsystemID: UInt16(truncatingIfNeeded: words.word(0x2C) >> 16)
    )
  }

  /// The BARs, from the low bits of their registers and the sizes of the regions (PCI 3.0, 6.2.5.1).
  private static func bars(
    _ registers: [UInt8],
    _ sizes: [Int: UInt64]
  ) throws(VfioUserError) -> (bars: [PCIBAR], hidden: [Int]) {
    let words = RegisterBytes(registers)
    var (bars, hidden): ([PCIBAR], [Int]) = ([], [])
    var index = 0
    while index < 6 {
      defer { index += 1 }
      guard let size = sizes[index] else { continue }
      let low = words.word(0x10 + 4 * index)
      guard low & 1 == 0 else {
        hidden.append(index)
        continue
      }
      // A region may be any size: the guest gets the power of two that it fits in.
      let limit: UInt64 = low & 0b110 == 0b100 ? 1 << 46 : 1 << 31
      guard size <= limit else {
        throw .badValue(.getRegionInfo, "BAR \(index) of \(size) bytes, more than \(limit)")
      }
      let whole = max(16, UInt64(1) << UInt64(64 - (size - 1).leadingZeroBitCount))
      let isPrefetchable = low & 0b1000 != 0
      guard low & 0b110 == 0b100 else {
        bars.append(PCIBAR(index, .memory32(prefetchable: isPrefetchable), size: whole))
        continue
      }
      guard index < 5, sizes[index + 1] == nil else {
        throw .badValue(
          .getRegionInfo,
          "BAR \(index) is of 64 bits, and no register is left for it"
        )
      }
      bars.append(PCIBAR(index, .memory64(prefetchable: isPrefetchable), size: whole))
      index += 1
    }
    return (bars, hidden)
  }

  /// Where the capabilities are, in their order (PCI 3.0, 6.7).
  private static func capabilities(_ registers: [UInt8]) throws(VfioUserError) -> [Int] {
    guard registers[0x06] & 1 << 4 != 0 else { return [] }
    var chain: [Int] = []
    var place = Int(registers[0x34] & ~0b11)
    while place != 0 {
      guard place >= 0x40, !chain.contains(place) else {
        throw .badValue(.readRegion, "a capability at \(place), after those at \(chain)")
      }
      chain.append(place)
      place = Int(registers[place + 1] & ~0b11)
    }
    return chain
  }

  private static func msix(
    _ registers: [UInt8],
    _ offset: Int,
    _ bars: [PCIBAR]
  ) throws(VfioUserError) -> MSIXCapability {
    guard offset <= 256 - 12 else { throw .badValue(.readRegion, "MSI-X at \(offset)") }
    let words = RegisterBytes(registers)
    let count = Int(words.word(offset) >> 16 & 0x7FF) + 1
    func place(_ word: UInt32) -> (bar: Int, offset: UInt64) {
      (Int(word & 0b111), UInt64(word & ~0b111))
    }
    let capability = MSIXCapability(
      offset: offset,
      vectorCount: count,
      table: place(words.word(offset + 4)),
      pending: place(words.word(offset + 8))
    )
    guard capability.table.bar == capability.pending.bar,
      let bar = bars.first(where: { $0.index == capability.table.bar }),
      Self.isSound(
        (capability.table.offset, MSIX.tableSize(count)),
        (capability.pending.offset, MSIX.pendingSize(count)),
        in: bar.size
      )
    else {
      throw .badValue(.readRegion, "an MSI-X table of \(count) vectors that is in no BAR")
    }
    return capability
  }

  /// The place that the capability of type VIRTIO_PCI_CAP_COMMON_CFG names (virtio 1.2, 4.1.4).
  private static func commonRegisters(_ registers: [UInt8], _ chain: [Int]) -> CommonRegisters? {
    let place = chain.first { offset in
      offset <= 256 - 16 && registers[offset] == vendorID && registers[offset + 3] == 1
    }
    guard let place else { return nil }
    return CommonRegisters(
      bar: Int(registers[place + 4]),
      offset: UInt64(RegisterBytes(registers).word(place + 8))
    )
  }

  private static func isSound(
    _ table: (start: UInt64, size: UInt64),
    _ pending: (start: UInt64, size: UInt64),
    in size: UInt64
  ) -> Bool {
    // Both offsets have 32 bits: no sum wraps.
    let ends = (table: table.start + table.size, pending: pending.start + pending.size)
    return max(ends.table, ends.pending) <= size
      && (ends.table <= pending.start || ends.pending <= table.start)
  }
}

/// Registers, which are little-endian on every host.
private struct RegisterBytes {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func word(_ offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
  }
}
