/// Why a vCPU stopped running, with what there is to know (api.rst, 5).
///
/// The numbers are copied out of the shared run page, so a value stays good; longer data is read in
/// place with the methods of ``VCPU``, until the next ``VCPU/run()``.
public enum VCPUExit: Equatable, Sendable {
  /// The guest executed `IN`, `OUT`, `INS` or `OUTS` (`KVM_EXIT_IO`).
  ///
  /// Take or give each item with ``VCPU/portItem(_:)`` and ``VCPU/setPortItem(_:to:)``; the guest
  /// goes on with the next run.
  case port(Port)
  /// The guest touched memory that no slot covers, or wrote to a slot that it may only read
  /// (`KVM_EXIT_MMIO`); complete a read with ``VCPU/completeMMIORead(_:)``.
  case mmio(MMIO)
  /// The guest executed `HLT`, with no local APIC in the kernel to wait for it (`KVM_EXIT_HLT`).
  case hlt
  /// The guest's processor shut down, by a triple fault for one (`KVM_EXIT_SHUTDOWN`).
  case shutdown
  /// The guest asked for power-off, reset or the like (`KVM_EXIT_SYSTEM_EVENT`); the number is
  /// linux/kvm.h's, with words in ``VCPU/exitData``.
  case systemEvent(type: UInt32)
  /// KVM cannot go on (`KVM_EXIT_INTERNAL_ERROR`): 1 stands for an instruction that it cannot
  /// emulate; words that say more, among them the instruction's bytes, are in ``VCPU/exitData``.
  case internalError(suberror: UInt32)
  /// The processor refused to enter the guest (`KVM_EXIT_FAIL_ENTRY`); the reason is the
  /// processor's own.
  case failEntry(reason: UInt64)
  /// The guest ended a level interrupt of the I/O APIC in this process (`KVM_EXIT_IOAPIC_EOI`).
  case ioapicEOI(vector: UInt8)
  /// The guest can take an interrupt now, as ``VCPU/requestsInterruptWindow`` asked
  /// (`KVM_EXIT_IRQ_WINDOW_OPEN`).
  case irqWindowOpen
  /// The guest lowered CR8, with no local APIC in the kernel (`KVM_EXIT_SET_TPR`); the new value is
  /// ``VCPU/cr8``.
  case taskPriorityLowered
  /// The guest executed `RDMSR` for a register that is this process's (`KVM_EXIT_X86_RDMSR`);
  /// answer with ``VCPU/completeMSRRead(_:)`` or ``VCPU/refuseMSR()``.
  case readMSR(index: UInt32)
  /// The guest executed `WRMSR` for a register that is this process's (`KVM_EXIT_X86_WRMSR`);
  /// nothing, or ``VCPU/refuseMSR()``, is the answer.
  case writeMSR(index: UInt32, value: UInt64)
  /// The guest hit a breakpoint or made a step (`KVM_EXIT_DEBUG`): the exception's vector, and the
  /// linear address of the instruction; more is in ``VCPU/debugStatus``.
  case debug(exception: UInt32, address: UInt64)
  /// A kick or another signal arrived, or a vCPU that waits to be started had nothing to do; look
  /// at the requests and run again.
  case interrupted
  /// An exit that this list has no case for, by its number in linux/kvm.h; for number 0,
  /// `KVM_EXIT_UNKNOWN`, with the processor's own reason.
  case unknown(reason: UInt32, hardwareReason: UInt64)

  /// One port access, or a string of them, all to one port.
  public struct Port: Equatable, Sendable {
    /// Whether the guest gives the items (`OUT`) or wants them (`IN`).
    public let isWrite: Bool
    @usableFromInline let size: UInt8
    /// The port's number.
    public let port: UInt16
    @usableFromInline let items: UInt32

    /// Describes `count` accesses of `width` bytes.
    public init(isWrite: Bool, port: UInt16, width: Int, count: Int = 1) {
      self.init(isWrite: isWrite, size: UInt8(width), port: port, items: UInt32(count))
    }

    init(isWrite: Bool, size: UInt8, port: UInt16, items: UInt32) {
      self.isWrite = isWrite
      self.size = size
      self.port = port
      self.items = items
    }

    /// The width of an item in bytes: 1, 2 or 4.
    @inlinable public var width: Int { Int(size) }
    /// How many items there are: 1, or more for `INS` and `OUTS` with a repeat prefix.
    @inlinable public var count: Int { Int(items) }
  }

  /// One access to memory.
  public struct MMIO: Equatable, Sendable {
    /// The guest-physical address.
    public let address: UInt64
    /// What the guest wrote, in the low `8 * width` bits; 0 for a read.
    public let value: UInt64
    @usableFromInline let size: UInt8
    /// Whether the guest wrote.
    public let isWrite: Bool

    /// Describes a write of `value`, or a read.
    public init(address: UInt64, width: Int, isWrite: Bool, value: UInt64 = 0) {
      self.init(address: address, value: value, size: UInt8(width), isWrite: isWrite)
    }

    init(address: UInt64, value: UInt64, size: UInt8, isWrite: Bool) {
      self.address = address
      self.value = value
      self.size = size
      self.isWrite = isWrite
    }

    /// The width in bytes, 1 to 8.
    @inlinable public var width: Int { Int(size) }
  }
}
