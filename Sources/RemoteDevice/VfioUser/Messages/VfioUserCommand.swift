/// What one end of a vfio-user connection can ask of the other, by its number in the protocol.
public enum VfioUserCommand: UInt16, CaseIterable, Sendable {
  case version = 1
  case mapDMA = 2
  case unmapDMA = 3
  case getInfo = 4
  case getRegionInfo = 5
  case getRegionIOFDs = 6
  case getIRQInfo = 7
  case setIRQs = 8
  case readRegion = 9
  case writeRegion = 10
  case readDMA = 11
  case writeDMA = 12
  case reset = 13
  case writeRegions = 15
  case feature = 16
  case readMigrationData = 17
  case writeMigrationData = 18

  /// Whether it is the server, the device's end, that asks; else the client does.
  public var isServers: Bool { self == .readDMA || self == .writeDMA }
}

extension VfioUserCommand: CustomStringConvertible {
  /// The name that the protocol gives it, without `VFIO_USER_`.
  public var description: String {
    switch self {
    case .version: "VERSION"
    case .mapDMA: "DMA_MAP"
    case .unmapDMA: "DMA_UNMAP"
    case .getInfo: "DEVICE_GET_INFO"
    case .getRegionInfo: "DEVICE_GET_REGION_INFO"
    case .getRegionIOFDs: "DEVICE_GET_REGION_IO_FDS"
    case .getIRQInfo: "DEVICE_GET_IRQ_INFO"
    case .setIRQs: "DEVICE_SET_IRQS"
    case .readRegion: "REGION_READ"
    case .writeRegion: "REGION_WRITE"
    case .readDMA: "DMA_READ"
    case .writeDMA: "DMA_WRITE"
    case .reset: "DEVICE_RESET"
    case .writeRegions: "REGION_WRITE_MULTI"
    case .feature: "DEVICE_FEATURE"
    case .readMigrationData: "MIG_DATA_READ"
    case .writeMigrationData: "MIG_DATA_WRITE"
    }
  }
}
