public import GuestMemory

/// What the ACPI tables tell the guest about its machine.
public struct ACPIConfiguration: Sendable {
  /// A virtio device on the MMIO transport.
  public struct VirtioMMIO: Equatable, Sendable {
    /// The first address of its registers.
    public var address: GuestAddress
    /// The length of its registers in bytes.
    public var count: UInt64
    /// Its global interrupt, level-triggered; from 16 up it may be shared with PCI.
    public var interrupt: UInt32

    /// Describes a device with `count` bytes of registers at `address`.
    public init(address: GuestAddress, count: UInt64, interrupt: UInt32) {
      self.address = address
      self.count = count
      self.interrupt = interrupt
    }
  }

  /// The local APIC number of each processor, the boot processor's first.
  public var processors: [UInt32]
  /// The number of the I/O APIC, which is at 0xFEC0_0000 with 24 pins from GSI 0.
  public var ioAPIC: UInt8
  /// Where 32-bit PCI BARs may go: below 4 GiB.
  public var lowWindow: Range<GuestAddress>
  /// Where 64-bit PCI BARs may go: from 4 GiB up, or `nil`.
  public var highWindow: Range<GuestAddress>?
  /// Where PCI configuration space is mapped, 1 MiB for each bus.
  public var configurationSpace: GuestAddress
  /// How many PCI buses there are, 1 to 256.
  public var busCount: Int
  /// Whether there is a serial port at 0x3F8 on IRQ 4.
  public var hasSerialPort: Bool
  /// Whether there is a real-time clock at 0x70 on IRQ 8.
  public var hasRealTimeClock: Bool
  /// Whether to announce a keyboard controller; one that only resets is better left unannounced.
  public var hasKeyboardController: Bool
  /// The virtio devices on the MMIO transport.
  public var virtioMMIO: [VirtioMMIO]
  /// The first port of ``ACPIPowerManagement``.
  public var powerManagementPort: UInt16
  /// The global interrupt of the SCI, level-triggered and active high.
  public var systemControlInterrupt: UInt8

  /// Describes a machine with a serial port, a real-time clock and no virtio-mmio devices.
  public init(
    processors: [UInt32],
    ioAPIC: UInt8,
    lowWindow: Range<GuestAddress>,
    highWindow: Range<GuestAddress>?,
    configurationSpace: GuestAddress,
    busCount: Int = 256,
    hasSerialPort: Bool = true,
    hasRealTimeClock: Bool = true,
    hasKeyboardController: Bool = false,
    virtioMMIO: [VirtioMMIO] = [],
    powerManagementPort: UInt16 = 0x600,
    systemControlInterrupt: UInt8 = 9
  ) {
    self.processors = processors
    self.ioAPIC = ioAPIC
    self.lowWindow = lowWindow
    self.highWindow = highWindow
    self.configurationSpace = configurationSpace
    self.busCount = busCount
    self.hasSerialPort = hasSerialPort
    self.hasRealTimeClock = hasRealTimeClock
    self.hasKeyboardController = hasKeyboardController
    self.virtioMMIO = virtioMMIO
    self.powerManagementPort = powerManagementPort
    self.systemControlInterrupt = systemControlInterrupt
  }

  /// The global interrupt of pin `pin`, 0 for INTA#, of the PCI device in `slot`.
  ///
  /// The eight pins from GSI 16 up take turns, so that neighbours rarely share one.
  public static func interrupt(ofSlot slot: Int, pin: Int) -> UInt32 {
    16 + UInt32(truncatingIfNeeded: (slot &+ pin) & 7)
  }
}
