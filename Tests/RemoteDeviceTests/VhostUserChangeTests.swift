import GuestMemory
import HostOS
import RemoteDevice
import Testing
import TestSupport
import Virtio

/// What a device tells its front end, and devices with requests of their own.
@Suite struct VhostUserChangeTests {
  typealias FrontEnd = VhostUserFrontEnd

  @Test func aConfigurationThatChangesIsTold() throws {
    let console = try Console(
      ConsolePort(input: nil, output: nil),
      size: (80, 24),
      name: "console"
    )
    let rig = try VhostUserRig(console)
    let front = rig.frontEnd
    let features = try front.negotiate()
    try front.shareMemory()
    let pair = try SocketPair()
    try front.tell(21, descriptors: [pair.far.rawValue])
    let queue = try front.makeQueue(at: GuestAddress(VhostUserRig.rings), features: features)
    try front.startRing(0, queue)

    console.resize(columns: 132, rows: 43)

    var message = [UInt8](repeating: 0, count: 12)
    var batch = DescriptorBatch()
    #expect(
      try waitUntil {
        try SocketIO.receive(pair.near.rawValue, into: &message, from: 0, count: 12, &batch)
          == .bytes(12)
      }
    )
    #expect(message == FrontEnd.words(UInt32(2), UInt32(1), UInt32(0)))
    try front.send(24, FrontEnd.words(UInt32(0), UInt32(4), UInt32(0), UInt32(0)))
    #expect(
      try front.receiveReply(24).payload.dropFirst(12)
        == FrontEnd.words(UInt16(132), UInt16(43))[...]
    )
  }

  @Test func aNetworkDeviceIsToldOfItsMoveAndOfTheFrameSize() throws {
    let device = FakeNetwork()
    let rig = try VhostUserRig(device)
    _ = try rig.frontEnd.negotiate()

    try rig.frontEnd.tell(19, FrontEnd.words(UInt64(0xFFFF_5634_1200_5452)))
    try rig.frontEnd.tell(20, FrontEnd.words(UInt64(1500)))
    #expect(throws: FrontEnd.Failure.refused(1)) {
      try rig.frontEnd.tell(20, FrontEnd.words(UInt64(90_000)))
    }

    #expect(device.heard == ["announce 563412005452", "mtu 1500", "mtu 90000"])
  }
}
