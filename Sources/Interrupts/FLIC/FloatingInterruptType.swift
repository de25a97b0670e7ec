/// The type of a record (`KVM_S390_INT_*` and `KVM_S390_MCHK` of the UAPI's `linux/kvm.h`).
public enum FloatingInterruptType {
  /// The lowest type of an I/O interrupt.
  public static var ioMinimum: UInt64 { 0x0000_0000 }
  /// The highest type of an I/O interrupt.
  public static var ioMaximum: UInt64 { 0xFFFD_FFFF }
  /// Set in the type of an adapter's I/O interrupt.
  public static var adapter: UInt64 { 0x0400_0000 }
  /// A page fault that was under way is done.
  public static var pageFaultDone: UInt64 { 0xFFFE_0005 }
  /// A machine check.
  public static var machineCheck: UInt64 { 0xFFFE_1000 }
  /// The service-call processor's signal.
  public static var serviceSignal: UInt64 { 0xFFFF_2401 }
  /// An interrupt of the paravirtual transport that precedes virtio-ccw.
  public static var virtio: UInt64 { 0xFFFF_2603 }
}
