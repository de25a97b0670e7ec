public import PCI

/// What a driver has made of a virtio device behind PCI: enough for another device of the same kind to go on.
///
/// A value, whoever it came from: ``PCITransport/restore(_:)`` checks all of it before it changes anything.
/// Guest memory, and what a queue has under way, are not in it.
public struct VirtioFunctionState: Equatable, Sendable {
  /// One queue.
  public struct Queue: Equatable, Sendable {
    /// The number of entries.
    public var size: UInt16
    /// Where its parts are in the guest's memory.
    public var descriptorTable, availableRing, usedRing: UInt64
    /// Whether the driver has enabled it.
    public var isEnabled: Bool
    /// Its MSI-X vector.
    public var vector: UInt16
    /// Where it stood when it was stopped; `nil` if it was never served, or is being served.
    public var place: VirtqueueState?

    /// Describes a queue that no driver has touched.
    public init(size: UInt16) {
      self.size = size
      (descriptorTable, availableRing, usedRing) = (0, 0, 0)
      isEnabled = false
      vector = 0xFFFF
    }
  }

  /// The device's type (virtio 1.2, 5).
  public var type: VirtioDeviceType
  /// What is offered to the driver.
  public var offered: VirtioFeatures
  /// What the driver has written that it wants.
  public var wanted: VirtioFeatures
  /// Which windows of the features are selected.
  public var deviceFeatureSelect, driverFeatureSelect: UInt32
  /// The device status.
  public var status: VirtioStatus
  /// The selected queue.
  public var queueSelect: UInt16
  /// Counts the changes of the configuration.
  public var generation: UInt32
  /// The MSI-X vector for changes of the configuration.
  public var configurationVector: UInt16
  /// The ISR status, as a driver would read it (4.1.4.5).
  public var interruptStatus: UInt8
  /// The queues by number.
  public var queues: [Queue]
  /// The configuration registers: BARs, command, capabilities, the access window.
  public var configuration: PCIConfigurationState
  /// The MSI-X table; `nil` for a function without.
  public var msix: MSIXState?
  /// What a device of this type keeps besides.
  public var device: [UInt8]
}
