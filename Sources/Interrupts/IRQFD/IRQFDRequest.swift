/// Flags of an interrupt eventfd: `struct kvm_irqfd`'s.
public struct IRQFDFlags: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Wraps the bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Takes the binding off again (`KVM_IRQFD_FLAG_DEASSIGN`).
  public static var deassign: Self { Self(rawValue: 1 << 0) }
  /// A signal asserts the line, and it stays asserted (`KVM_IRQFD_FLAG_LEVEL` of 2012).
  public static var level: Self { Self(rawValue: 1 << 1) }
}

/// Binds an eventfd to a GSI, or undoes that; the shape of `struct kvm_irqfd`.
public struct IRQFDRequest: Equatable, Sendable {
  /// The eventfd; it stays the caller's, who may close it once the request is done.
  public var descriptor: Int32
  /// The GSI that a signal raises.
  public var gsi: GSI
  /// How.
  public var flags: IRQFDFlags

  /// Describes a request.
  public init(_ descriptor: Int32, gsi: GSI, flags: IRQFDFlags = []) {
    self.descriptor = descriptor
    self.gsi = gsi
    self.flags = flags
  }
}

/// Flags of an end-of-interrupt eventfd: `struct kvm_eoifd`'s.
public struct EOIFDFlags: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Wraps the bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// Takes the binding off again (`KVM_EOIFD_FLAG_DEASSIGN`).
  public static var deassign: Self { Self(rawValue: 1 << 0) }
  /// The level irqfd is named (`KVM_EOIFD_FLAG_LEVEL_IRQFD`); it has to be, in both directions.
  public static var levelIRQFD: Self { Self(rawValue: 1 << 1) }
}

/// Has the end of a level irqfd's interrupt signal an eventfd, or undoes that; the shape of `struct kvm_eoifd`.
public struct EOIFDRequest: Equatable, Sendable {
  /// The eventfd to signal; it stays the caller's, who may close it once the request is done.
  public var descriptor: Int32
  /// The level irqfd's eventfd.
  public var irqfd: Int32
  /// How.
  public var flags: EOIFDFlags

  /// Describes a request.
  public init(_ descriptor: Int32, irqfd: Int32, flags: EOIFDFlags = .levelIRQFD) {
    self.descriptor = descriptor
    self.irqfd = irqfd
    self.flags = flags
  }
}
