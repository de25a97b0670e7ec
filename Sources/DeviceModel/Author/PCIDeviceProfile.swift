/// What a device of an author's looks like from outside: all that is known before there is one.
public struct PCIDeviceProfile: Equatable, Sendable {
  /// A kind of message-signalled interrupts.
  public enum MessageKind: Sendable {
    /// The older one: up to 32 vectors, all of which are in the configuration registers.
    case msi
    /// The newer one: up to 2048 vectors, with a table in memory.
    case msix
  }

  /// What messages call the device: `edu`.
  public var name: String
  /// Who made it, and what it is.
  public var identity: PCIIdentity
  /// Its registers, each region behind a base address register of its own.
  public var regions: [PCIRegion]
  /// How many message-signalled interrupts it has, 0 to 2048, or 0 or a power of 2 up to 32 for MSI; where there is no such thing, and
  /// where a driver does not use them, it has its INTx pin.
  public var vectorCount: Int
  /// Of which kind they are.
  public var messageKind: MessageKind

  /// Describes a device.
  ///
  /// With vectors of MSI-X, one base address register that no region has is left for their table.
  public init(
    _ name: String,
    _ identity: PCIIdentity,
    regions: [PCIRegion],
    vectorCount: Int = 0,
    messageKind: MessageKind = .msix
  ) {
    let isMSI = messageKind == .msi
    precondition(
      (0...(isMSI ? 32 : 2048)).contains(vectorCount)
        && (!isMSI || vectorCount & (vectorCount - 1) == 0),
      "\(name): \(vectorCount) vectors"
    )
    self.name = name
    self.identity = identity
    self.regions = regions
    self.vectorCount = vectorCount
    self.messageKind = messageKind
  }
}
