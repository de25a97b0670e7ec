/// A group of the device-attribute interface that Linux has (`KVM_DEV_FLIC_*` of the s390 UAPI's
/// `asm/kvm.h`; Linux, Documentation/virt/kvm/devices/s390_flic.rst).
public enum FLICGroup: UInt32, CaseIterable, Sendable {
  /// Copies all pending interrupts, which remain pending; the attribute is the buffer's length.
  case getAllIRQs = 1
  /// Adds interrupts; the attribute is the length of their records.
  case enqueue = 2
  /// Deletes all pending interrupts.
  case clearIRQs = 3
  /// Lets the host complete page faults while the guest runs.
  case apfEnable = 4
  /// Ends that, and waits for the page faults that are under way.
  case apfDisableWait = 5
  /// Makes an adapter known.
  case adapterRegister = 6
  /// Masks or unmasks an adapter, or changes what it maps.
  case adapterModify = 7
  /// Deletes one pending I/O interrupt of a subchannel.
  case clearIOIRQ = 8
  /// Sets the suppression mode of a subclass.
  case aism = 9
  /// Interrupts on behalf of an adapter; the attribute is its id.
  case airqInject = 10
  /// The suppression modes of all subclasses.
  case aismAll = 11
}

/// A group of the interface as it was first proposed, in 2013, before `DEQUEUE` became
/// `GET_ALL_IRQS` and took a length.
public enum FirstFLICGroup: UInt32, CaseIterable, Sendable {
  /// Takes one pending interrupt out.
  case dequeue = 1
  /// Adds one interrupt.
  case enqueue = 2
  /// Deletes all pending interrupts.
  case clearIRQs = 3
}
