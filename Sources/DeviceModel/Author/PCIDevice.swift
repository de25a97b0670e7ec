/// A PCI device, as its author writes it: registers, and what they do.
///
/// All else is the host's affair, wherever the device runs: configuration space, base addresses, message
/// tables, sockets and sandboxes. A device is made with a ``DeviceHost``, through which it interrupts and
/// reaches the guest's memory.
///
/// Register accesses come from several threads at once, so the device guards its own state. An access holds
/// up a processor of the guest, so that what takes longer than a copy of a few pages belongs on a thread of
/// the device's own. What the guest writes may be anything: a device checks it, and calculates with it in
/// operators that wrap.
public protocol PCIDevice: AnyObject, Sendable {
  /// The value of a register; of those that there are not, zero.
  ///
  /// - Parameter access: Which: `region` is the number of the base address register, `offset` is in the
  ///   region and a multiple of `width`, and `width` is one of the region's.
  /// - Returns: The value, in the low bits.
  func read(_ access: BusAccess) -> UInt64

  /// Writes a register; those that there are not, or cannot be written, ignore it.
  ///
  /// - Parameters:
  ///   - value: The value, in the low bits; the others are zero.
  ///   - access: Which, as in ``read(_:)``.
  func write(_ value: UInt64, _ access: BusAccess)

  /// Puts the device back to how it was made; at return nothing is under way.
  ///
  /// Interrupts are withdrawn by the host.
  func reset()

  /// All that the device would have to know to go on in another process, in a form of its own.
  ///
  /// Nothing else is called meanwhile. What is under way has ended or is in the state; nothing goes on until
  /// something else is called.
  func save() -> [UInt8]

  /// Goes on from a state that ``save()`` has made, as a device that was just made or reset.
  ///
  /// The bytes may be anybody's: the device checks them as it checks a guest. An interrupt that was requested is requested
  /// again by the device.
  ///
  /// - Throws: ``DeviceStateError`` if that is no state of this device's, which is reset afterwards.
  func restore(_ state: [UInt8]) throws(DeviceStateError)

  /// Goes on after ``save()`` where nobody else goes on from that state, or for the first time after ``restore(_:)``.
  ///
  /// For a device with threads or timers of its own; others need none.
  func resume()
}

extension PCIDevice {
  /// Has nothing to do: the device works only when its registers are accessed.
  public func resume() {}
}

/// A kind of device: what it looks like, and how one is made.
public struct PCIDeviceModel: Sendable {
  /// What the device looks like.
  public let profile: PCIDeviceProfile
  private let make: @Sendable (DeviceHost) throws -> any PCIDevice

  /// Describes devices that `make` makes; one at a time, and another after each restart of a guest.
  public init(
    _ profile: PCIDeviceProfile,
    _ make: @escaping @Sendable (DeviceHost) throws -> any PCIDevice
  ) {
    self.profile = profile
    self.make = make
  }

  /// Makes a device.
  ///
  /// - Throws: What its author's initializer throws.
  public func makeDevice(_ host: DeviceHost) throws -> any PCIDevice { try make(host) }
}
