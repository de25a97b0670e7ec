import DeviceModel
import Glibc
import GuestMemory
import HostOS
import Synchronization
import TestSupport
import Testing
import Virtio

@testable import RemoteDevice

/// A device that asks for its guest's memory, and gets no answer any more.
@Suite(.timeLimit(.minutes(5))) struct LostMemoryTests {
  /// Has the memory, until it fails.
  private final class Peer: DMAPeer {
    let memory: GuestMemory
    let failure = Mutex<DMAError?>(nil)

    init(_ memory: GuestMemory) { self.memory = memory }

    func readMemory(at address: UInt64, count: Int) throws(DMAError) -> [UInt8] {
      try perform(address, count) { () throws(GuestMemoryError) in
        try memory.read(at: GuestAddress(address), count: count)
      }
    }

    func writeMemory(_ bytes: [UInt8], at address: UInt64) throws(DMAError) {
      try perform(address, bytes.count) { () throws(GuestMemoryError) in
        try memory.write(bytes, at: GuestAddress(address))
      }
    }

    private func perform<Result>(
      _ address: UInt64,
      _ count: Int,
      _ body: () throws(GuestMemoryError) -> Result
    ) throws(DMAError) -> Result {
      if let failure = failure.withLock({ $0 }) { throw failure }
      do throws(GuestMemoryError) { return try body() } catch {
        throw .notMapped(address: address, count: count)
      }
    }
  }

  private static func makeState() throws -> VirtioStateFile {
    let memory = try GuestMemory(count: VirtioStateFile.byteCount)
    guard let file = try memory.file.borrow({ try $0.duplicated() }) else {
      throw MockDriver.Failure.outOfMemory
    }
    return try VirtioStateFile(file)
  }

  /// What it did from then on would be noted as done, and not done again by who takes over.
  @Test func aProcessThatKeepsItsStateEndsWithItsMemory() async {
    await #expect(processExitsWith: .exitCode(5)) {
      let rig = try HostedDiskRig(state: try LostMemoryTests.makeState())
      let peer = Peer(rig.memory)
      let queue = try rig.start(asking: peer)
      guard try rig.readsSector(3, queue) else { exit(1) }
      peer.failure.withLock { $0 = .timedOut(address: 0) }
      try queue.add(rig.readRequest(4).buffers)
      try rig.driver.kick(0, queue)
      _ = waitUntil { false }
    }
  }

  @Test func whatIsRefusedDoesNotEndIt() throws {
    let rig = try HostedDiskRig(state: try Self.makeState())
    let peer = Peer(rig.memory)
    let queue = try rig.start(without: .packedRing, asking: peer)
    #expect(try rig.readsSector(3, queue))
    peer.failure.withLock { $0 = .refused(address: 0, code: EFAULT) }
    try queue.add(rig.readRequest(4).buffers)
    try rig.driver.kick(0, queue)
    // The device finds the queue broken (2.1.2, DEVICE_NEEDS_RESET).
    #expect(waitUntil { rig.transport.status & 64 != 0 })
  }

  @Test func withoutAStateTheProcessStaysForTheNextClient() throws {
    let rig = try HostedDiskRig()
    let peer = Peer(rig.memory)
    let queue = try rig.start(asking: peer)
    peer.failure.withLock { $0 = .disconnected }
    try queue.add(rig.readRequest(4).buffers)
    try rig.driver.kick(0, queue)
    rig.function.release()
    #expect(try rig.readsSector(3, try rig.start()))
  }

  @Test(
    arguments: [
      (.refused(address: 0x1000, code: EFAULT), false), (.timedOut(address: 0x1000), true),
      (.disconnected, true),
    ] as [(DMAError, Bool)]
  )
  func onlyWhatIsRefusedIsNotLost(error: DMAError, isLost: Bool) throws {
    final class Count: Sendable { let value = Atomic(0) }
    let count = Count()
    let peer = Peer(try GuestMemory(count: 0x10000))
    let memory = MessagedMemory(peer) { count.value.add(1, ordering: .relaxed) }
    #expect(memory.write([1], at: GuestAddress(0x1000)))
    #expect(memory.read(at: GuestAddress(0x1000), count: 1) == [1])
    peer.failure.withLock { $0 = error }
    #expect(!memory.write([2], at: GuestAddress(0x1000)))
    #expect(memory.read(at: GuestAddress(0x1000), count: 1) == nil)
    #expect(count.value.load(ordering: .relaxed) == (isLost ? 2 : 0))
  }
}
