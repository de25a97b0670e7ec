import GuestMemory
import HostOS
import Testing
import TestSupport
import Virtio

/// What real front ends said is answered as they expect, and their drivers are served.
@Suite struct CaptureTests {
  private func replay(_ name: String, _ device: any VirtioDevice) throws -> Int {
    let rig = try VhostUserRig(device, memory: [(GuestAddress(0), 0x1000_0000)])
    let replay = try CaptureReplay(rig.frontEnd)
    try replay.run(Capture(name))
    #expect(rig.log.notices == [])
    return replay.requestCount
  }

  @Test(arguments: ["vhost-user-qemu7.2-blk", "vhost-user-qemu11.1-blk"])
  func aDisk(name: String) throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("disk", [UInt8](repeating: 0, count: 4096))
    #expect(try replay(name, Block(try DiskImage(opening: path), name: "disk")) == 2)
  }

  @Test(arguments: ["vhost-user-qemu7.2-rng", "vhost-user-qemu11.1-rng"])
  func anEntropySource(name: String) throws {
    #expect(try replay(name, Entropy(name: "entropy")) == 1)
  }

  @Test(arguments: ["vhost-user-qemu7.2-net", "vhost-user-qemu11.1-net"])
  func aNetworkDevice(name: String) throws {
    let device = SinkDevice(1, features: 0x8003, queueCount: 2)
    #expect(try replay(name, device) == 2)
  }

  @Test(arguments: ["vhost-user-qemu7.2-vsock", "vhost-user-qemu11.1-vsock"])
  func aSocketDevice(name: String) throws {
    let device = SinkDevice(19, queueCount: 3, configurationCount: 8)
    #expect(try replay(name, device) == 2)
  }
}
