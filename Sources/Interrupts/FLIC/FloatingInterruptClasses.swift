/// Classes of floating interrupts; the lowest bit of a set is the first to be taken.
///
/// The order is that of the Principles of Operation, chapter 6, "Priority of Interruptions":
/// repressible machine checks, external, I/O. Of the external ones the service signal comes before
/// the hypervisor's own, and a completed page fault before virtio, as in Linux. Of I/O the lowest
/// subclass comes first (chapter 16, "Priority of I/O Interruptions").
public struct FloatingInterruptClasses: OptionSet, Hashable, Sendable {
  /// One bit for each class.
  public let rawValue: UInt16
  /// Makes a set of the classes whose bits are on.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Machine checks.
  public static var machineCheck: Self { Self(rawValue: 1 << 0) }
  /// Service signals.
  public static var serviceSignal: Self { Self(rawValue: 1 << 1) }
  /// Completed page faults.
  public static var pageFaultDone: Self { Self(rawValue: 1 << 2) }
  /// Virtio interrupts.
  public static var virtio: Self { Self(rawValue: 1 << 3) }
  /// I/O interrupts of one subclass, 0 to 7.
  public static func io(isc: Int) -> Self { Self(rawValue: 1 << UInt16(4 + (isc & 7))) }

  /// All external interrupts.
  public static var external: Self { [.serviceSignal, .pageFaultDone, .virtio] }
  /// I/O interrupts of all subclasses.
  public static var io: Self { Self(rawValue: 0xFF << 4) }
  /// Everything that floats.
  public static var all: Self { [.machineCheck, .external, .io] }

  /// The class to be taken first, if there is one.
  var first: Self? { isEmpty ? nil : Self(rawValue: rawValue & (0 &- rawValue)) }
  /// The number of the lowest bit.
  var index: Int { rawValue.trailingZeroBitCount }
}
