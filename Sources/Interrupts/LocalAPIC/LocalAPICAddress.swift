/// What a local APIC answers to, in one word that others read without its lock.
struct LocalAPICAddress: RawRepresentable, Equatable, Sendable {
  let rawValue: UInt64

  init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Packs the logical destination register, of which in xAPIC mode the top 8 bits count, the destination
  /// format register, and the mode.
  init(logical: UInt32, format: UInt32, isEnabled: Bool, isX2APIC: Bool) {
    rawValue =
      UInt64(logical) | UInt64(format >> 28) << 32 | (isEnabled ? 1 << 36 : 0)
      | (isX2APIC ? 1 << 37 : 0)
  }

  private var logical: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
  private var model: UInt8 { UInt8(rawValue >> 32 & 0xF) }
  /// Whether it is switched on in IA32_APIC_BASE, so that it sees messages at all.
  var isEnabled: Bool { rawValue & 1 << 36 != 0 }
  private var isX2APIC: Bool { rawValue & 1 << 37 != 0 }

  /// Whether `request` is addressed to the local APIC `id` by its destination field.
  func matches(_ request: InterruptRequest, id: UInt32) -> Bool {
    guard isEnabled else { return false }
    if request.isBroadcast { return true }
    let destination = request.destination
    guard request.isLogical else { return destination == id }
    // SDM volume 3A, 11.12.10.1: 16 bits of cluster, 16 of members.
    guard !isX2APIC else {
      return destination >> 16 == logical >> 16 && destination & logical & 0xFFFF != 0
    }
    guard destination <= 0xFF else { return false }
    let own = logical >> 24
    switch model {
    // SDM volume 3A, 11.6.2.2: the flat model is one bit a processor, the cluster model 4 bits of
    // cluster and 4 of members. The others are no model.
    case 0xF: return destination & own != 0
    case 0x0: return destination >> 4 == own >> 4 && destination & own & 0xF != 0
    default: return false
    }
  }
}
