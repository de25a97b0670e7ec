import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// Tap interfaces, each test in a network namespace of its own.
@Suite(
  .timeLimit(.minutes(5)),
  .enabled(if: TapNamespace.isPossible, "needs root and /dev/net/tun")
)
struct NetTapTests {
  @Test(arguments: RingKind.allCases)
  func framesGoBothWays(ring: RingKind) throws {
    try TapNamespace.run {
      let rig = try TapRig(ring)
      let frame = NetRig.frame(to: .broadcast, count: 100)
      try rig.guest.send(frame)
      #expect(try rig.host.take(rig.guest.driver) == frame)

      try rig.guest.addBuffers([2048])
      rig.host.send(NetRig.frame(count: 200))
      #expect(try rig.guest.driver.waitForUsed(rig.guest.receive[0]).written == 212)
      let bytes = try rig.guest.rig.memory.read(at: GuestAddress(0x300000), count: 212)
      #expect(Array(bytes[10...]) == [1, 0] + NetRig.frame(count: 200))
    }
  }

  @Test func anInterfaceThatIsMadeIsUpAndHasTheMTU() throws {
    try TapNamespace.run {
      let backend = try TapBackend(interface: "apus%d", mtu: 4000)
      #expect(backend.label == "apus0")
      #expect(try NetworkInterface.isUp("apus0"))
      #expect(try NetworkInterface.mtu(of: "apus0") == 4000)
      #expect(backend.mtu == 4000)
    }
  }

  @Test func theKernelTakesWhatIsOffered() throws {
    try TapNamespace.run {
      let backend = try TapBackend(interface: "apus0")
      #expect(backend.features.isSuperset(of: [.netChecksum, .netGuestTCP4, .netHostTCP6]))
      try backend.setGuestOffloads(backend.features.intersection(.netGuestOffloads))
      try backend.setGuestOffloads([.netGuestChecksum, .netGuestTCP6])
      try backend.setGuestOffloads([])
    }
  }

  @Test func aHeaderThatMakesNoSenseCostsItsFrameOnly() throws {
    try TapNamespace.run {
      let rig = try TapRig()
      let frame = NetRig.frame(to: .broadcast, count: 100)
      let headers: [[UInt8]] = [
        // A checksum beyond the frame, an unknown kind of segments, and headers beyond the frame.
        [1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0],
        [0, 0x7F, 0, 0, 0xB4, 5, 0, 0, 0, 0, 0, 0],
        [1, 1, 0xFF, 0xFF, 1, 0, 0xF0, 0, 16, 0, 0xFF, 0xFF],
      ]
      for header in headers { try rig.guest.send(frame, header: header) }
      try rig.guest.send(NetRig.frame(to: .broadcast, count: 70))
      #expect(try rig.host.take(rig.guest.driver) == NetRig.frame(to: .broadcast, count: 70))
      #expect(rig.guest.net.counters.values.sendDropped == 3)
      #expect(rig.guest.rig.transport.status & 64 == 0)
    }
  }

  @Test func severalQueuesWorkAsSoonAsTheDriverUsesThem() throws {
    try TapNamespace.run {
      let rig = try TapRig(pairs: 2)
      let frame = NetRig.frame(to: .broadcast, count: 100)
      // The second is not attached yet, so that all that comes is for the first.
      try rig.guest.addBuffers(Array(repeating: 2048, count: 20))
      for source in 0..<20 {
        rig.host.send(NetRig.frame(count: 100 + source))
        #expect(try rig.guest.received() == UInt32(112 + source))
      }
      #expect(try rig.guest.command(4, 0, [2, 0]) == 0)
      try rig.guest.send(frame, pair: 1)
      #expect(try rig.host.take(rig.guest.driver) == frame)
      #expect(try rig.guest.command(4, 0, [1, 0]) == 0)
      try rig.guest.addBuffers([2048])
      rig.host.send(NetRig.frame(count: 200))
      #expect(try rig.guest.driver.waitForUsed(rig.guest.receive[0]).written == 212)
    }
  }

  @Test func anInterfaceThatIsRemovedTakesTheLinkDown() throws {
    try TapNamespace.run {
      let rig = try TapRig()
      try rig.guest.addBuffers([2048])
      try PacketSocket.removeInterface(rig.name)
      try rig.guest.driver.wait {
        rig.guest.rig.transport.readConfiguration(offset: 6, width: 2) & 1 == 0
      }
      try rig.guest.send(NetRig.frame(to: .broadcast))
      #expect(
        rig.guest.rig.log.lines.contains { $0.contains("apus0") },
        "\(rig.guest.rig.log.lines)"
      )
    }
  }

  @Test func aQueueThatIsInUseIsRefused() throws {
    try TapNamespace.run {
      let first = try TapQueue(interface: "apus0", isMultiQueue: false)
      let error = #expect(throws: SystemError.self) {
        try TapQueue(interface: "apus0", isMultiQueue: false)
      }
      #expect(error?.code == EBUSY)
      let long = #expect(throws: SystemError.self) {
        try TapQueue(interface: "a-name-that-is-too-long", isMultiQueue: false)
      }
      #expect(long?.code == ENAMETOOLONG)
      #expect(TapQueue.isTap(first.receivingDescriptor))
      let adopted = try TapQueue(
        adopting: OwnedFileDescriptor(duplicating: first.receivingDescriptor)
      )
      #expect(adopted.name == "apus0")
    }
  }
}
