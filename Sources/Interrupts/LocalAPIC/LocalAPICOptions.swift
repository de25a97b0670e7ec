/// What a local APIC has besides what all of them have.
public struct LocalAPICOptions: Equatable, Sendable {
  /// Whether there is an LVT entry for corrected machine checks; MCG_CMCI_P says so to the guest.
  public var hasCMCI = false
  /// Whether the guest may turn the broadcast of EOIs off (SDM volume 3A, 11.8.5).
  public var suppressesEOIBroadcast = true
  /// Whether x2APIC mode can be entered, as CPUID.01H:ECX[21] says to the guest.
  public var hasX2APIC = true
  /// How wide a physical address is, 36 to 52 bits; a base above that is refused.
  public var physicalAddressWidth = 52

  /// The usual: x2APIC mode, suppression of broadcasts, no CMCI.
  public init() {}
}
