import DeviceModel
import HostOS
import PCI
import Platform
import TestSupport
import Virtio

@testable import Machine

/// A board with no guest, and what a test needs to build one.
struct BoardRig {
  let folder: TemporaryFolder
  let control: RunControl
  let board: Board

  /// Builds the board of a configuration that `configure` has changed.
  ///
  /// There are `disks` image files with the names `disk0` and so on; `configure` gets their paths and
  /// makes disks of them.
  init(
    disks: Int = 0,
    plane: any MachinePlane = DetachedPlane(),
    _ configure: (inout MachineConfiguration, [String]) throws -> Void = { _, _ in }
  ) throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    var configuration = MachineConfiguration(kernel: "kernel")
    configuration.memory = 64 << 20
    let sector = [UInt8](repeating: 0, count: 512)
    let paths = try (0..<disks).map { try folder.file("disk\($0)", sector) }
    try configure(&configuration, paths)
    control = try RunControl()
    board = try Board(
      configuration,
      physicalAddressBits: 40,
      plane: plane,
      attachments: Board.Attachments(
        serial: configuration.serial == .none ? nil : SilentSerial(),
        console: try HostConsole.makeDetachedDevice(configuration),
        system: control,
        clock: HostClock()
      )
    )
  }

  /// `0x3f8-0x3ff serial port`, one for each range of a bus.
  static func map(_ bus: Bus) -> [String] { bus.mappings.map(\.description) }
}
