public import DeviceModel
import Synchronization

/// The 4096 bytes of configuration registers of one type 0 function (PCI 3.0, 6.1; PCIe 4.0, 7.2).
///
/// Each bit is read-only, writable, or cleared by writing one. The device's author lays the
/// registers out before the function is added to a bus; afterwards any thread may read and write.
/// The lock is a leaf: nothing is called while it is held. Registers are little-endian.
public final class PCIConfigurationSpace: Sendable {
  /// The number of bytes.
  public static var size: Int { 4096 }

  /// The function's base address registers.
  public let bars: [PCIBAR]

  struct State {
    var values: [UInt32]
    // What `values` is after a reset.
    var initial: [UInt32]
    // Bits that take what the guest writes.
    var writable: [UInt32]
    // Bits that a written one clears (RW1C).
    var clearable: [UInt32]
    // Where the next capability goes, and the byte that will point to it.
    var capabilityEnd = 0x40
    var capabilityLink = Register.capabilities
    // Where MSI-X message control is, if the function has it.
    var messageControl: Int?
    // The same of MSI.
    var msiControl: Int?
  }

  enum Register {
    static let command = 0x04
    static let status = 0x06
    static let headerType = 0x0E
    static let bars = 0x10
    static let capabilities = 0x34
    static let interruptPin = 0x3D
  }

  enum Status {
    static let interrupt: UInt32 = 1 << 3
    static let capabilityList: UInt32 = 1 << 4
    // The error bits 8 and 11...15, cleared by writing one.
    static let errors: UInt32 = 0xF900
  }

  let state: Mutex<State>

  /// Lays out the header of a function (PCI 3.0, figure 6-1).
  ///
  /// - Parameters:
  ///   - identity: What the function says it is.
  ///   - bars: Its base address registers; no two may share a register.
  public init(_ identity: PCIIdentity, bars: [PCIBAR] = []) {
    let zeros = [UInt32](repeating: 0, count: Self.size / 4)
    var state = State(values: zeros, initial: zeros, writable: zeros, clearable: zeros)
    state.define(0x00, width: 2, UInt32(identity.vendorID))
    state.define(0x02, width: 2, UInt32(identity.deviceID))
    state.define(0x08, width: 4, identity.classCode << 8 | UInt32(identity.revision))
    state.define(0x2C, width: 2, UInt32(identity.subsystemVendorID))
    state.define(0x2E, width: 2, UInt32(identity.subsystemID))

    // 6.2.2: a bit for a space in which the function has no BAR is hardwired to zero.
    var command: PCICommand = [
      .busMaster, .parityErrorResponse, .systemError, .interruptDisable,
    ]
    if bars.contains(where: { $0.space == .memory }) { command.insert(.memorySpace) }
    if bars.contains(where: { $0.space == .port }) { command.insert(.portSpace) }
    state.define(Register.command, width: 2, 0, writable: UInt32(command.rawValue))
    state.define(Register.status, width: 2, 0, clearable: Status.errors)
    // Cache line size and interrupt line: scratch registers of the guest (6.2.4).
    state.define(0x0C, width: 1, 0, writable: 0xFF)
    state.define(0x3C, width: 1, 0, writable: 0xFF)

    var taken: Set<Int> = []
    for bar in bars {
      let offset = Register.bars + 4 * bar.index
      let mask = bar.addressMask
      precondition(taken.insert(bar.index).inserted, "two BARs in register \(bar.index)")
      let low = UInt32(truncatingIfNeeded: mask) & (bar.kind == .port ? ~0b11 : ~0b1111)
      state.define(offset, width: 4, bar.typeBits, writable: low)
      if bar.is64Bit {
        precondition(taken.insert(bar.index + 1).inserted, "two BARs in register \(bar.index + 1)")
        state.define(offset + 4, width: 4, 0, writable: UInt32(truncatingIfNeeded: mask >> 32))
      }
    }
    self.bars = bars
    self.state = Mutex(state)
  }

  /// Lays out one register: its value after reset, and what the guest may do to it.
  ///
  /// - Parameters:
  ///   - offset: The register's first byte, a multiple of `width`.
  ///   - width: 1, 2 or 4 bytes.
  ///   - value: The value now and after a reset.
  ///   - writable: The bits that the guest can write.
  ///   - clearable: The bits that the guest clears by writing one.
  public func define(
    _ offset: Int,
    width: Int,
    _ value: UInt32,
    writable: UInt32 = 0,
    clearable: UInt32 = 0
  ) {
    precondition(Self.isRegister(offset, width), "no register of \(width) bytes at \(offset)")
    state.withLock {
      $0.define(offset, width: width, value, writable: writable, clearable: clearable)
    }
  }

  /// Reads a register; zero if `offset` is not a multiple of `width`, or beyond the end.
  public func read(_ offset: Int, width: Int) -> UInt32 {
    guard Self.isRegister(offset, width) else { return 0 }
    return state.withLock { $0.load(offset, width: width) }
  }

  /// Writes a register as the guest does: read-only bits keep their value.
  public func write(_ value: UInt32, _ offset: Int, width: Int) {
    guard Self.isRegister(offset, width) else { return }
    state.withLock { state in
      let (word, shift, mask) = Self.position(offset, width)
      let bits = value << shift & mask
      let writable = state.writable[word] & mask
      state.values[word] = state.values[word] & ~writable | bits & writable
      state.values[word] &= ~(bits & state.clearable[word])
    }
  }

  /// Sets a register as the device does, read-only bits too.
  public func store(_ value: UInt32, _ offset: Int, width: Int) {
    precondition(Self.isRegister(offset, width), "no register of \(width) bytes at \(offset)")
    state.withLock { $0.store(value, offset, width: width) }
  }

  /// Puts every register back to the value it was laid out with.
  public func reset() {
    state.withLock { $0.values = $0.initial }
  }

  static func isRegister(_ offset: Int, _ width: Int) -> Bool {
    (width == 1 || width == 2 || width == 4) && offset >= 0 && offset % width == 0
      && offset < size
  }

  static func position(_ offset: Int, _ width: Int) -> (word: Int, shift: UInt32, mask: UInt32) {
    let shift = UInt32(offset % 4 * 8)
    return (offset / 4, shift, (UInt32.max >> UInt32(32 - 8 * width)) << shift)
  }
}

extension PCIConfigurationSpace.State {
  func load(_ offset: Int, width: Int) -> UInt32 {
    let (word, shift, mask) = PCIConfigurationSpace.position(offset, width)
    return (values[word] & mask) >> shift
  }

  mutating func store(_ value: UInt32, _ offset: Int, width: Int) {
    let (word, shift, mask) = PCIConfigurationSpace.position(offset, width)
    values[word] = values[word] & ~mask | value << shift & mask
  }

  mutating func define(
    _ offset: Int,
    width: Int,
    _ value: UInt32,
    writable: UInt32 = 0,
    clearable: UInt32 = 0
  ) {
    let (word, shift, mask) = PCIConfigurationSpace.position(offset, width)
    store(value, offset, width: width)
    initial[word] = initial[word] & ~mask | value << shift & mask
    self.writable[word] = self.writable[word] & ~mask | writable << shift & mask
    self.clearable[word] = self.clearable[word] & ~mask | clearable << shift & mask
  }
}
