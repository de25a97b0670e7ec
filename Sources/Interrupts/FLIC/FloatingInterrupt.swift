/// An interruption that any processor of the guest may take.
public enum FloatingInterrupt: Equatable, Sendable {
  /// A repressible machine check of the channel subsystem; those that are pending are taken as one.
  ///
  /// - Parameters:
  ///   - cr14: The subclass, as its mask bit in control register 14; only bit 35, channel report
  ///     pending, floats.
  ///   - code: The machine-check-interruption code.
  case machineCheck(cr14: UInt64, code: UInt64)
  /// The service-call processor has ended a command, at the address in bits 0 to 28 of the
  /// parameter, or has events (bits 30 and 31); those that are pending are taken as one.
  case serviceSignal(parameter: UInt32)
  /// A page fault that the guest was told of is done; the token is the 64-bit parameter.
  case pageFaultDone(ExternalParameters)
  /// A virtio device of the transport that precedes virtio-ccw.
  case virtio(ExternalParameters)
  /// An I/O interruption.
  case io(IOInterrupt)

  /// The parameters of an external interruption.
  public struct ExternalParameters: Equatable, Sendable {
    /// The parameter of 32 bits.
    public let parameter: UInt32
    /// The four bytes after it in a record: no meaning, but kept.
    public let pad: UInt32
    /// The parameter of 64 bits.
    public let parameter64: UInt64

    /// Describes the parameters.
    public init(_ parameter: UInt32 = 0, _ parameter64: UInt64 = 0, pad: UInt32 = 0) {
      self.parameter = parameter
      self.pad = pad
      self.parameter64 = parameter64
    }
  }

  /// The class that it is queued and masked with: exactly one.
  public var interruptClass: FloatingInterruptClasses {
    switch self {
    case .machineCheck: .machineCheck
    case .serviceSignal: .serviceSignal
    case .pageFaultDone: .pageFaultDone
    case .virtio: .virtio
    case .io(let interrupt): .io(isc: interrupt.isc)
    }
  }
}
