/// The command register: what the guest allows a function to do (PCI 3.0, 6.2.2).
public struct PCICommand: OptionSet, Sendable {
  /// The register's bits.
  public let rawValue: UInt16
  /// Wraps the register's bits.
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Port BARs are decoded.
  @inlinable public static var portSpace: Self { Self(rawValue: 1 << 0) }
  /// Memory BARs are decoded.
  @inlinable public static var memorySpace: Self { Self(rawValue: 1 << 1) }
  /// The function may read and write memory by itself.
  @inlinable public static var busMaster: Self { Self(rawValue: 1 << 2) }
  /// The function reports parity errors.
  @inlinable public static var parityErrorResponse: Self { Self(rawValue: 1 << 6) }
  /// The function may drive SERR#.
  @inlinable public static var systemError: Self { Self(rawValue: 1 << 8) }
  /// The function does not drive its INTx pin.
  @inlinable public static var interruptDisable: Self { Self(rawValue: 1 << 10) }
}
