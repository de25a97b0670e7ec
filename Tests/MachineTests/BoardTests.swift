import DeviceModel
import Glibc
import Platform
import TestSupport
import Testing

@testable import Machine

@Suite struct BoardTests {
  private final class NoSystem: SystemControl {
    func request(_ event: SystemEvent) {}
  }

  private func makeBoard(_ transport: MachineConfiguration.Transport) throws -> Board {
    var configuration = MachineConfiguration(kernel: "vmlinux")
    configuration.memory = 64 << 20
    configuration.transport = transport
    configuration.hasDebugExit = true
    configuration.hasTestDevice = true
    return try Board(
      configuration,
      physicalAddressBits: 40,
      plane: DetachedPlane(),
      attachments: Board.Attachments(
        serial: SilentSerial(),
        console: nil,
        system: NoSystem(),
        clock: try HostClock()
      )
    )
  }

  // A machine that restarts makes a board each time.
  @Test(arguments: MachineConfiguration.Transport.allCases)
  func aBoardTakesItsMemoryAndDevicesAlong(_ transport: MachineConfiguration.Transport) throws {
    weak var memory: AnyObject?
    weak var buses: AnyObject?
    weak var device: AnyObject?
    try {
      let board = try makeBoard(transport)
      memory = board.memory
      buses = board.memoryBus
      device = board.controllers.first
      #expect(memory != nil && buses != nil && device != nil)
      board.stop()
    }()
    #expect(memory == nil)
    #expect(buses == nil)
    #expect(device == nil)
  }
}
