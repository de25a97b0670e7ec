/// What a device of an author's looks like from outside: all that is known before there is one.
public struct PCIDeviceProfile: Equatable, Sendable {
  /// What messages call the device: `edu`.
  public var name: String
  /// Who made it, and what it is.
  public var identity: PCIIdentity
  /// Its registers, each region behind a base address register of its own.
  public var regions: [PCIRegion]
  /// How many message-signalled interrupts (MSI-X) it has, 0 to 2048; where there is no such thing, and
  /// where a driver does not use them, it has its INTx pin.
  public var vectorCount: Int

  /// Describes a device.
  ///
  /// With vectors, one base address register that no region has is left for their table.
  public init(
    _ name: String,
    _ identity: PCIIdentity,
    regions: [PCIRegion],
    vectorCount: Int = 0
  ) {
    precondition((0...2048).contains(vectorCount), "\(name): \(vectorCount) vectors")
    self.name = name
    self.identity = identity
    self.regions = regions
    self.vectorCount = vectorCount
  }
}
