/// What a floating interrupt controller is made with.
public struct FLICConfiguration: Sendable {
  /// The most I/O interrupts that Linux lets be pending (`KVM_S390_MAX_FLOAT_IRQS`).
  public static var maximumIO: Int { 266_250 }
  /// The most virtio interrupts that Linux lets be pending: one for each queue that fits the
  /// 2 MiB of descriptor pages.
  public static var maximumVirtio: Int { 87_381 }
  /// The most completed page faults that Linux lets be pending: 64 for each of 255 processors.
  public static var maximumPageFaults: Int { 64 * 255 }
  /// The longest buffer that a call takes, in bytes (`KVM_S390_FLIC_MAX_BUFFER`).
  public static var maximumBuffer: UInt64 { 0x200_0000 }

  /// The byte order of what goes through the interface.
  public var byteOrder = FLICByteOrder.big
  /// How many I/O interrupts may be pending.
  public var ioLimit = maximumIO
  /// How many virtio interrupts may be pending.
  public var virtioLimit = maximumVirtio
  /// How many completed page faults may be pending.
  public var pageFaultLimit = maximumPageFaults
  /// Whether the guest has the adapter-interruption-suppression facility (facility bit 72).
  public var hasSuppression = true
  /// Who completes page faults while the guest runs.
  public var pageFaults: (any AsynchronousPageFaults)?

  /// What Linux has.
  public init() {}
}
