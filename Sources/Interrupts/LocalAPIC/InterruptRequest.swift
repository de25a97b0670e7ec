import DeviceModel

/// An interrupt on its way to local APICs: a message of a device, or an IPI.
struct InterruptRequest: Equatable, Sendable {
  /// The delivery mode (SDM volume 3A, 11.6.1 and 11.11.2).
  enum Mode: UInt8, Sendable {
    case fixed = 0
    case lowestPriority = 1
    case systemManagement = 2
    case reserved = 3
    case nonMaskable = 4
    case initialize = 5
    case startUp = 6
    case external = 7

    /// The mode in the three low bits of `bits`.
    init(bits: UInt32) { self = Self(rawValue: UInt8(bits & 7)) ?? .reserved }
  }

  /// Whom an IPI goes to without a destination (SDM volume 3A, 11.6.1).
  enum Shorthand: UInt8, Sendable {
    case none = 0
    case ownself = 1
    case all = 2
    case others = 3
  }

  var vector: UInt8
  var mode: Mode
  var isLevelTriggered = false
  var destination: UInt32
  /// Whether the destination has 32 bits, as in x2APIC mode, or 8.
  var isWide = false
  var isLogical: Bool
  var shorthand = Shorthand.none

  /// Reads a message (SDM volume 3A, 11.11); `nil` if it is none, or if there is nothing to deliver.
  ///
  /// The destination mode counts without the redirection hint, too: guests rely on that, as chipsets
  /// do so. With the hint the message goes to one of those that it addresses.
  init?(_ message: InterruptMessage) {
    guard message.address >> 20 == 0xFEE else { return nil }
    let address = UInt32(truncatingIfNeeded: message.address)
    mode = Mode(bits: message.data >> 8)
    if mode == .fixed, address & 1 << 3 != 0 { mode = .lowestPriority }
    // SDM volume 3A, 11.11.2: start-up is no mode of a message.
    guard mode != .reserved, mode != .startUp else { return nil }
    isLevelTriggered = message.data & 1 << 15 != 0
    // A level that falls is none of the local APIC's business.
    guard !isLevelTriggered || message.data & 1 << 14 != 0 else { return nil }
    vector = UInt8(truncatingIfNeeded: message.data)
    destination = address >> 12 & 0xFF
    isLogical = address & 1 << 2 != 0
  }

  /// Reads the interrupt command register (SDM volume 3A, 11.6.1; in x2APIC mode, 11.12.9); `nil` if
  /// it sends nothing.
  init?(command: UInt64, isX2APIC: Bool) {
    let low = UInt32(truncatingIfNeeded: command)
    let high = UInt32(truncatingIfNeeded: command >> 32)
    mode = Mode(bits: low >> 8)
    guard mode != .reserved, mode != .external else { return nil }
    // A level-triggered INIT that does not assert is the "INIT level de-assert" of older processors,
    // which means nothing now. In all other modes level and trigger are ignored: an IPI is an edge.
    guard mode != .initialize || low & 0xC000 != 0x8000 else { return nil }
    vector = UInt8(truncatingIfNeeded: low)
    destination = isX2APIC ? high : high >> 24
    isWide = isX2APIC
    isLogical = low & 1 << 11 != 0
    shorthand = Shorthand(rawValue: UInt8(low >> 18 & 3)) ?? .none
  }

  /// An interrupt of the processor to itself.
  init(self vector: UInt8) {
    self.vector = vector
    mode = .fixed
    destination = 0
    isLogical = false
    shorthand = .ownself
  }

  /// SDM volume 3A, 11.6.2.1, 11.6.2.2 and 11.12.9: all ones go to everybody, in either destination mode.
  var isBroadcast: Bool {
    switch shorthand {
    case .all, .others: true
    case .ownself: false
    case .none: destination == (isWide ? .max : 0xFF)
    }
  }

  /// Whether the vector means an entry of the guest's descriptor table.
  var hasVector: Bool { mode == .fixed || mode == .lowestPriority }
}
