public import DeviceModel

/// A PCI function, as its author sees it: registers behind BARs, and interrupts.
///
/// The bus keeps the rules of configuration space, BARs, INTx and MSI-X; an author implements
/// ``readBAR(_:)``, ``writeBAR(_:_:)`` and ``reset()``, and ``barDidMove(_:to:)`` to hang doorbells.
/// BAR and configuration accesses come from several vCPUs at once, with no lock of the bus held:
/// the function guards its own state, and must not block for long.
public protocol PCIFunction: AnyObject, Sendable {
  /// What messages call the function: `virtio-blk disk0`.
  var name: String { get }
  /// The function's configuration registers.
  var configuration: PCIConfigurationSpace { get }
  /// The function's INTx pin, or `nil` if it has none.
  var interruptPin: PCIInterruptPin? { get }
  /// The function's MSI-X table, or `nil` if it has none.
  var msix: MSIX? { get }
  /// The function's MSI, or `nil` if it has none.
  var msi: MSI? { get }

  /// Reads a configuration register of 1, 2 or 4 bytes; `offset` is a multiple of `width`.
  func readConfiguration(_ offset: Int, width: Int) -> UInt32
  /// Writes a configuration register; `offset` is a multiple of `width`.
  func writeConfiguration(_ value: UInt32, _ offset: Int, width: Int)

  /// The value that the guest reads from a BAR; `access.region` is the BAR's index.
  func readBAR(_ access: BusAccess) -> UInt64
  /// Applies a guest write to a BAR; `access.region` is the BAR's index.
  func writeBAR(_ value: UInt64, _ access: BusAccess)

  /// Says where a BAR answers from now on; `nil` if nowhere.
  ///
  /// The calls for one function come one at a time, on the thread that changed the configuration,
  /// and `nil` comes between two addresses: a doorbell is taken down before it is hung up again.
  func barDidMove(_ bar: Int, to address: UInt64?)

  /// Puts the device's own state back to what it was at power-on.
  ///
  /// The bus resets configuration, MSI, MSI-X and the INTx pin itself, after this call.
  func reset()
}

extension PCIFunction {
  /// No INTx pin.
  public var interruptPin: PCIInterruptPin? { nil }
  /// No MSI-X.
  public var msix: MSIX? { nil }
  /// No MSI.
  public var msi: MSI? { nil }

  /// Reads ``configuration``.
  public func readConfiguration(_ offset: Int, width: Int) -> UInt32 {
    configuration.read(offset, width: width)
  }

  /// Writes ``configuration``.
  public func writeConfiguration(_ value: UInt32, _ offset: Int, width: Int) {
    configuration.write(value, offset, width: width)
  }

  /// Ignores the move.
  public func barDidMove(_ bar: Int, to address: UInt64?) {}
}
