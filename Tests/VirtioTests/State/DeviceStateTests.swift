import GuestMemory
import TestSupport
import Testing
import Virtio

/// What devices keep beside the registers of their transport.
@Suite(.timeLimit(.minutes(5)))
struct DeviceStateTests {
  private static func network() throws -> Net {
    try Net(FakeNetwork(pairs: 2), address: NetRig.address)
  }

  @Test func anInterfaceKeepsWhatItWasCommanded() throws {
    let rig = try NetRig(pairs: 2)
    #expect(try rig.command(0, 0, [0]) == 0)
    #expect(try rig.command(1, 1, [2, 1, 2, 3, 4, 5]) == 0)
    #expect(try rig.command(2, 0, [7, 0]) == 0)
    #expect(try rig.command(4, 0, [2, 0]) == 0)
    let state = rig.net.savedState

    let other = try Self.network()
    try other.restore(state)

    #expect(other.savedState == state)
    #expect(other.readConfiguration(offset: 0, width: 6) == 0x0504_0302_0102)
  }

  @Test func anInterfaceGoesOnWithItsPairsAndFilter() throws {
    let first = try NetRig(pairs: 2)
    #expect(try first.command(0, 0, [0]) == 0)
    #expect(try first.command(4, 0, [2, 0]) == 0)
    let state = first.net.savedState
    let network = try FakeNetwork(pairs: 2)
    let other = try Net(network, address: NetRig.address)
    try other.restore(state)
    let rig = try DeviceRig(other)
    let activation = VirtioActivation(
      features: first.rig.driver.features,
      memory: rig.memory,
      queues: [],
      signals: rig.controller.signals
    )

    try other.activate(activation)

    #expect(network.activePairs == [2])
    #expect(other.savedState == state)
    other.reset()
  }

  @Test(arguments: [[], [0], [UInt8](repeating: 0xFF, count: 60)])
  func bytesThatAreNoStateAreRefused(bytes: [UInt8]) throws {
    let net = try Self.network()
    let before = net.savedState
    let balloon = try Balloon()

    #expect(throws: VirtioStateError.self) { try net.restore(bytes) }
    #expect(throws: VirtioStateError.self) { try balloon.restore(bytes) }
    #expect(net.savedState == before)
  }

  @Test func aBalloonKeepsItsSizeOverAPause() throws {
    let balloon = try Balloon()
    let rig = try DeviceRig(balloon)
    try rig.driver.negotiate()
    _ = try rig.driver.makeQueue(0)
    rig.driver.start()
    rig.controller.writeConfiguration(77, offset: 4, width: 4)

    rig.controller.pause()
    let other = try Balloon()
    try other.restore(balloon.savedState)

    #expect(balloon.actual == 77 * 4096)
    #expect(other.actual == 77 * 4096)
  }

  @Test func aDiskKeepsItsCacheSetting() throws {
    let rig = try BlockRig()
    rig.rig.controller.writeConfiguration(0, offset: 32, width: 1)
    let path = try rig.folder.file("other", BlockRig.content)
    let other = Block(try DiskImage(opening: path), name: "disk1")

    rig.rig.controller.pause()
    try other.restore(rig.rig.controller.device.savedState)

    #expect(other.readConfiguration(offset: 32, width: 1) == 0)
    #expect(throws: VirtioStateError.self) { try other.restore([2]) }
  }
}
