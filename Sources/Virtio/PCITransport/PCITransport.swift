public import DeviceModel
public import GuestMemory
import HostOS
public import Logging
public import PCI

/// A virtio device as a PCI function, without the legacy interface (virtio 1.2, 4.1).
///
/// One memory BAR, of 64 bits if nothing else is asked for, holds all structures, MSI-X table and pending bits included. Queue
/// notifications are doorbells that follow the BAR; MSI-X vectors are signalled by the device's own
/// threads. Put it on a ``PCIRootBus``; register accesses come from any vCPU.
public final class PCITransport: PCIFunction {
  /// The registers without their layout, and the device behind them.
  public let controller: VirtioDeviceController
  /// The function's configuration registers.
  public let configuration: PCIConfigurationSpace
  /// The function's MSI-X table, unless it was made without.
  public let msix: MSIX?

  let layout: PCILayout
  let interrupts: PCIInterrupts
  /// Where in ``configuration`` the access window is (4.1.4.9).
  let windowOffset: Int
  private let pin: PCIInterruptPin
  private let doorbells: PCIDoorbells

  /// Makes a function of `device`.
  ///
  /// - Parameters:
  ///   - device: The device, which belongs to this transport from now on.
  ///   - memory: The guest's RAM.
  ///   - line: What the function's pin, INTA#, is wired to.
  ///   - messages: Where MSI-X vectors come from, one for each queue and one more; without it the
  ///     function has no MSI-X.
  ///   - doorbells: Where queue notifications are caught before they reach ``writeBAR(_:_:)``;
  ///     without it they are handled there.
  ///   - kind: Where the BAR can be; some who place it know 32-bit addresses only.
  ///   - features: What is offered beside the features of the device's type;
  ///     `VIRTIO_F_NOTIFICATION_DATA` comes with it, since a doorbell here rings for any value.
  ///   - logger: Where to say what a driver did wrong.
  /// - Throws: `SystemError`, or what the source of vectors throws.
  public init(
    _ device: any VirtioDevice,
    memory: GuestMemory,
    line: any InterruptLine,
    messages: (any MessageInterruptAllocator)?,
    doorbells: (any DoorbellRegistry)?,
    bar kind: PCIBAR.Kind = .memory64(),
    features: VirtioFeatures = .common,
    logger: Logger
  ) throws {
    let queueCount = device.queueSizes.count
    let vectorCount = min(queueCount + 1, 2048)
    let layout = PCILayout(
      queueCount: queueCount,
      configurationCount: device.configurationCount,
      vectorCount: vectorCount
    )
    let configuration = PCIConfigurationSpace(
      Self.identity(of: device.type),
      bars: [PCIBAR(PCILayout.bar, kind, size: layout.size)]
    )
    msix = try messages.map { messages in
      try MSIX(
        vectorCount: vectorCount,
        bar: PCILayout.bar,
        tableOffset: layout.table.offset,
        pendingOffset: layout.pending.offset,
        in: configuration,
        from: messages
      )
    }
    pin = PCIInterruptPin(to: line, of: configuration)
    interrupts = PCIInterrupts(queueCount: queueCount, pin: pin, msix: msix)
    controller = try VirtioDeviceController(
      device,
      memory: memory,
      interrupts: interrupts,
      features: features.union(.notificationData),
      logger: logger
    )
    self.doorbells = PCIDoorbells(doorbells, kicks: controller.kicks, log: controller.signals.log)

    PCICapability(.common, layout.common).add(to: configuration)
    PCICapability(
      .notification,
      layout.notification,
      tail: UInt32(PCILayout.notifyMultiplier)
    ).add(to: configuration)
    PCICapability(.interruptStatus, layout.interruptStatus).add(to: configuration)
    // 4.1.4.6: only a device that has such a configuration has the structure.
    if layout.configuration.count > 0 {
      PCICapability(.device, layout.configuration).add(to: configuration)
    }
    windowOffset = PCICapability(
      .accessWindow,
      PCILayout.Part(offset: 0, count: 0),
      tail: 0
    ).add(to: configuration)
    self.layout = layout
    self.configuration = configuration
  }

  /// The name of the device.
  public var name: String { controller.device.name }

  /// The function's INTx pin.
  public var interruptPin: PCIInterruptPin? { pin }

  /// Lets the doorbells follow the BAR.
  public func barDidMove(_ bar: Int, to address: UInt64?) {
    doorbells.move(to: address.map { $0 &+ layout.notification.offset })
  }

  /// Resets the device.
  public func reset() { controller.reset() }

  /// Takes down the doorbells and stops the device; the function must be off its bus by then.
  public func shutDown() {
    doorbells.move(to: nil)
    controller.reset()
  }

  /// What a function with this device says it is (4.1.2).
  private static func identity(of type: VirtioDeviceType) -> PCIIdentity {
    let classCode: UInt32 =
      switch type {
      case .block: 0x01_80_00  // Mass storage, other.
      case .console: 0x07_80_00  // Communication, other.
      default: 0x00_FF_00  // Of no class.
      }
    // 4.1.2.1: device 0x1040 and up, revision 1 and up, and subsystem 0x40 and up say that there is
    // no legacy interface.
    return PCIIdentity(
      vendorID: 0x1AF4,
      deviceID: 0x1040 + type.rawValue,
      revision: 1,
      classCode: classCode,
      subsystemVendorID: 0x1AF4,
      subsystemID: 0x0040 + type.rawValue
    )
  }
}
