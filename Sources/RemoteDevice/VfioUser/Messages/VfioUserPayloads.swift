/// What a device is, or the question for it (`vfio_device_info`).
struct VfioUserDeviceInfo: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 16 }
  /// The device can be reset.
  static var resetFlag: UInt32 { 1 << 0 }
  /// The device is a PCI function.
  static var pciFlag: UInt32 { 1 << 1 }

  var argumentSize = UInt32(Self.count)
  var flags: UInt32 = 0
  var regionCount: UInt32 = 0
  var interruptCount: UInt32 = 0
}

/// The regions of a PCI function besides its BARs, by number.
enum VfioUserRegion {
  static var rom: UInt32 { 6 }
  static var configuration: UInt32 { 7 }
  /// How many regions a PCI function has (`VFIO_PCI_NUM_REGIONS`).
  static var count: UInt32 { 9 }
}

/// The kinds of interrupts of a PCI function, by number.
enum VfioUserInterrupt {
  static var pin: UInt32 { 0 }
  static var msi: UInt32 { 1 }
  static var msix: UInt32 { 2 }
  static var error: UInt32 { 3 }
  static var request: UInt32 { 4 }
  /// How many kinds there are (`VFIO_PCI_NUM_IRQS`).
  static var count: UInt32 { 5 }
}

/// One kind of interrupts, or the question for it (`vfio_irq_info`).
struct VfioUserInterruptInfo: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 16 }
  /// Interrupts are signalled by eventfds.
  static var eventFlag: UInt32 { 1 << 0 }
  /// They can be masked.
  static var maskableFlag: UInt32 { 1 << 1 }
  /// Each masks itself when it is signalled.
  static var automaskedFlag: UInt32 { 1 << 2 }
  /// All that are ever used are to be set at once.
  static var noResizeFlag: UInt32 { 1 << 3 }

  var argumentSize = UInt32(Self.count)
  var flags: UInt32 = 0
  var index: UInt32
  /// How many there are of this kind.
  var interruptCount: UInt32 = 0
}

/// A piece of a region.
struct VfioUserRegionAccess: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 16 }

  var offset: UInt64
  var region: UInt32
  var count: UInt32
}

/// One of several writes to regions at once.
struct VfioUserRegionWrite: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 24 }

  /// Where; 8 bytes at most.
  var access: VfioUserRegionAccess
  /// Eight bytes, the first of which are written.
  var data: [UInt8]
}

/// A piece of the client's memory that the server may use.
struct VfioUserDMAMap: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 32 }
  static var readFlag: UInt32 { 1 << 0 }
  static var writeFlag: UInt32 { 1 << 1 }

  var argumentSize = UInt32(Self.count)
  var flags: UInt32
  /// Where in the file that came with it.
  var offset: UInt64
  /// The address that the device uses.
  var address: UInt64
  var size: UInt64
}

/// A piece of the client's memory that the server may not use any longer.
struct VfioUserDMAUnmap: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 24 }
  /// Everything, whatever address and size say.
  static var allFlag: UInt32 { 1 << 1 }

  var argumentSize = UInt32(Self.count)
  var flags: UInt32 = 0
  var address: UInt64
  var size: UInt64
}

/// Memory that a server reads or writes by message.
struct VfioUserDMAAccess: Equatable, Sendable {
  /// The length in bytes.
  static var count: Int { 16 }

  var address: UInt64
  var count: UInt64
}

/// A piece of a device's saved state.
struct VfioUserMigrationData: Equatable, Sendable {
  /// The length in bytes, without data.
  static var count: Int { 8 }

  var argumentSize: UInt32
  var size: UInt32
  var data: [UInt8] = []
}

extension VfioUserMigrationData {
  /// A piece that has come or goes.
  init(_ data: [UInt8]) {
    self.init(
      argumentSize: UInt32(Self.count + data.count),
      size: UInt32(data.count),
      data: data
    )
  }

  /// Asks for so many bytes.
  static func question(_ count: Int) -> Self {
    Self(argumentSize: UInt32(Self.count + count), size: UInt32(count))
  }
}
