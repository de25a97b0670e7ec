/// What a function says it is: the identifying fields of its header (PCI 3.0, 6.2.1 and 6.2.4).
public struct PCIIdentity: Equatable, Sendable {
  /// The manufacturer.
  public var vendorID: UInt16
  /// The manufacturer's number for the device.
  public var deviceID: UInt16
  /// The device's revision.
  public var revision: UInt8
  /// Base class, sub-class, and programming interface, in the low 24 bits (PCI 3.0, appendix D).
  public var classCode: UInt32
  /// Who made the board that the device is on.
  public var subsystemVendorID: UInt16
  /// The board's number.
  public var subsystemID: UInt16

  /// Describes a function.
  public init(
    vendorID: UInt16,
    deviceID: UInt16,
    revision: UInt8 = 0,
    classCode: UInt32,
    subsystemVendorID: UInt16 = 0,
    subsystemID: UInt16 = 0
  ) {
    precondition(classCode < 1 << 24, "class code \(classCode) is wider than 24 bits")
    self.vendorID = vendorID
    self.deviceID = deviceID
    self.revision = revision
    self.classCode = classCode
    self.subsystemVendorID = subsystemVendorID
    self.subsystemID = subsystemID
  }
}
