import GuestMemory
import TestSupport
import Testing
import Virtio

@Suite(.timeLimit(.minutes(5))) struct EntropyTests {
  @Test func buffersAreFilledWithRandomBytes() throws {
    let rig = try DeviceRig(Entropy())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    let buffers: [MockBuffer] = [.writable(0x100000, 100), .writable(0x101000, 100)]
    #expect(try rig.driver.request(0, queue, buffers) == 200)
    let first = try rig.memory.read(at: GuestAddress(0x100000), count: 100)
    let second = try rig.memory.read(at: GuestAddress(0x101000), count: 100)
    #expect(first != second)
    #expect(Set(first).count > 20)
  }

  @Test func aRequestGetsABoundedNumberOfBytes() throws {
    let rig = try DeviceRig(Entropy())
    try rig.driver.negotiate()
    let queue = try rig.driver.makeQueue(0)
    rig.driver.start()
    #expect(try rig.driver.request(0, queue, [.writable(0x100000, 0x200000)]) == 4096)
    #expect(try rig.driver.request(0, queue, [.readable(0x100000, 0x200000)]) == 0)
  }
}
