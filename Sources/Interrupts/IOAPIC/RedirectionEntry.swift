public import DeviceModel

/// One entry of the I/O APIC's redirection table: what its pin makes of an interrupt (82093AA, 3.2.4).
public struct RedirectionEntry: RawRepresentable, Hashable, Sendable {
  /// What a processor is to do with the message; 3 and 6 are reserved (82093AA, 3.2.4, bits 10:8).
  public enum DeliveryMode: UInt8, Sendable {
    /// The vector, on every processor of the destination.
    case fixed = 0
    /// The vector, on the destination's processor of the lowest priority.
    case lowestPriority = 1
    /// A system management interrupt.
    case smi = 2
    /// A non-maskable interrupt.
    case nmi = 4
    /// An INIT.
    case initialize = 5
    /// The vector that an 8259A supplies.
    case externalInterrupt = 7
  }

  /// The entry as the guest reads it, both halves.
  public var rawValue: UInt64

  /// Wraps an entry.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// What the entry holds after reset: masked (82093AA, 3.2.4, bit 16).
  public static var reset: Self { Self(rawValue: Bit.mask) }

  private enum Bit {
    static var logical: UInt64 { 1 << 11 }
    static var deliveryStatus: UInt64 { 1 << 12 }
    static var activeLow: UInt64 { 1 << 13 }
    static var remoteIRR: UInt64 { 1 << 14 }
    static var level: UInt64 { 1 << 15 }
    static var mask: UInt64 { 1 << 16 }
    /// All that a guest can set: neither delivery status nor remote IRR, nor what is reserved.
    static var writable: UInt64 { 0xFF00_0000_0001_AFFF }
  }

  /// The vector, 16 to 254 if the guest is right.
  public var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
  /// What is delivered; `nil` if the mode is reserved.
  public var deliveryMode: DeliveryMode? {
    DeliveryMode(rawValue: UInt8(truncatingIfNeeded: rawValue >> 8) & 7)
  }
  /// Whether ``destination`` is a set of logical processors, not an APIC ID.
  public var isLogical: Bool { rawValue & Bit.logical != 0 }
  /// Whether an interrupt waits to be sent.
  public var isSendPending: Bool { rawValue & Bit.deliveryStatus != 0 }
  /// Whether the pin is asserted while it is low; see ``IOAPIC`` on why that changes nothing here.
  public var isActiveLow: Bool { rawValue & Bit.activeLow != 0 }
  /// Whether a level interrupt has been accepted and not ended.
  public var remoteIRR: Bool { rawValue & Bit.remoteIRR != 0 }
  /// Whether the trigger bit says level; see also ``isLevelTriggered``.
  public var hasLevelTrigger: Bool { rawValue & Bit.level != 0 }
  /// Whether the pin's interrupts are held back.
  public var isMasked: Bool { rawValue & Bit.mask != 0 }
  /// The APIC ID, or the logical processors.
  public var destination: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 56) }

  /// Whether the pin works by level: only a vector does.
  ///
  /// SMI and ExtINT demand edge, and NMI and
  /// INIT are edges whatever the bit says (82093AA, 3.2.4, bits 10:8).
  public var isLevelTriggered: Bool {
    hasLevelTrigger && (deliveryMode == .fixed || deliveryMode == .lowestPriority)
  }

  /// The memory write that delivers it, whether it is masked or not; `nil` if its mode is reserved.
  ///
  /// An illegal vector is sent on, since it is the local APIC that reports it (SDM volume 3A,
  /// 11.5.3).
  public var message: InterruptMessage? {
    guard let deliveryMode else { return nil }
    // ICH9, 5.9.4, "interrupt message format": in the address, the destination is bits 19:12, bit 3
    // lets the message be redirected and is set for the lowest priority alone, and bit 2 is the
    // destination mode; in the data, bit 15 is the trigger mode, and bit 14 asserts.
    var address: UInt64 = 0xFEE0_0000 | UInt64(destination) << 12
    if deliveryMode == .lowestPriority { address |= 1 << 3 }
    if isLogical { address |= 1 << 2 }
    let data = UInt32(deliveryMode.rawValue) << 8 | UInt32(vector)
    return InterruptMessage(address: address, data: isLevelTriggered ? data | 0xC000 : data)
  }

  /// What remains of it once the bits that a guest cannot write are taken out.
  var writable: Self { Self(rawValue: rawValue & Bit.writable) }

  /// The entry with one of its two halves written over by the guest; 1 is the high one.
  func replacing(half: Int, with value: UInt32) -> Self {
    let shift = UInt64(half & 1) * 32
    let kept = rawValue & ~(UInt64(UInt32.max) << shift)
    return Self(rawValue: kept | UInt64(value) << shift).writable
  }

  /// The entry with its read-only bits as given.
  func showing(sendPending: Bool, remoteIRR: Bool) -> Self {
    var value = rawValue & Bit.writable
    if sendPending { value |= Bit.deliveryStatus }
    if remoteIRR { value |= Bit.remoteIRR }
    return Self(rawValue: value)
  }
}
