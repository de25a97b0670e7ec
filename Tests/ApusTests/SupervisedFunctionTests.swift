import DeviceModel
import Glibc
import GuestMemory
import HostOS
import PCI
import TestSupport
import Testing
import Virtio

@testable import Machine
@testable import RemoteDevice

/// A disk whose process is killed while a driver uses it through registers of its own, as a guest does.
@Suite(.timeLimit(.minutes(10))) struct SupervisedFunctionTests {
  @Test(
    .needsBinary,
    arguments: [[], .packedRing] as [VirtioFeatures],
    [true, false]
  )
  func everyRequestIsDoneOnceThoughTheProcessIsKilled(
    without: VirtioFeatures,
    hasDoorbells: Bool
  ) async throws {
    try await Program.onThread {
      let rig = try SupervisedDiskRig()
      try rig.driver.negotiate(without: without)
      let load = DiskLoad(rig.memory)
      load.queue = try rig.driver.makeQueue(0)
      load.kick = { queue in
        guard try queue.needsKick() else { return }
        if hasDoorbells { rig.ring(0) } else { rig.driver.transport.notify(0) }
      }
      rig.driver.start()
      for _ in 0..<12 {
        try load.run(for: .milliseconds(Int.random(in: 10...120)))
        try rig.kill { try load.run(for: .milliseconds(5)) }
      }
      let before = load.count
      let isServed = try waitUntil {
        try load.run(for: .milliseconds(5))
        return load.count > before
      }
      #expect(isServed, "\(rig.log.lines)")
      try load.finish()

      #expect(load.failures == [])
      #expect(try DiskLoad.words(rig.folder.bytes(at: rig.path)) == load.expected)
      #expect(rig.driver.transport.status == 15)
      rig.function.stop()
    }
  }

  @Test(
    .needsBinary,
    arguments: [[], .packedRing] as [VirtioFeatures],
    DMAMode.allCases.filter { $0 != .shared }
  )
  func everyRequestIsDoneOnceThoughMemoryIsNotMapped(
    without: VirtioFeatures,
    dma: DMAMode
  ) async throws {
    try await Program.onThread {
      let rig = try SupervisedDiskRig(dma: dma)
      try rig.driver.negotiate(without: without)
      let load = DiskLoad(rig.memory)
      load.queue = try rig.driver.makeQueue(0)
      load.kick = { queue in if try queue.needsKick() { rig.ring(0) } }
      rig.driver.start()
      for _ in 0..<6 {
        try load.run(for: .milliseconds(Int.random(in: 10...120)))
        try rig.kill { try load.run(for: .milliseconds(5)) }
      }
      let before = load.count
      let isServed = try waitUntil {
        try load.run(for: .milliseconds(5))
        return load.count > before
      }
      #expect(isServed, "\(rig.log.lines)")
      try load.finish()

      #expect(load.failures == [])
      #expect(try DiskLoad.words(rig.folder.bytes(at: rig.path)) == load.expected)
      #expect(rig.driver.transport.status == 15)
      rig.function.stop()
    }
  }

  @Test(.needsBinary) func aRegisterWaitsForTheNextProcess() async throws {
    try await Program.onThread {
      let rig = try SupervisedDiskRig()
      try rig.driver.negotiate()
      _ = try rig.driver.makeQueue(0)
      rig.driver.start()
      rig.function.writeBAR(0, BusAccess(region: 0, offset: 0x2000 + 32, width: 1))

      for _ in 0..<5 {
        try rig.kill {}
        #expect(rig.driver.transport.status == 15)
        #expect(rig.driver.transport.readConfiguration(offset: 32, width: 1) == 0)
      }
      rig.process.signal(SIGKILL)
      rig.function.writeBAR(1, BusAccess(region: 0, offset: 0x2000 + 32, width: 1))

      #expect(rig.driver.transport.readConfiguration(offset: 32, width: 1) == 1)
      rig.function.stop()
    }
  }

  @Test(.needsBinary) func aResetIsDoneByTheNextProcess() async throws {
    try await Program.onThread {
      let rig = try SupervisedDiskRig()
      for _ in 0..<5 {
        try rig.driver.negotiate()
        let load = DiskLoad(rig.memory)
        load.queue = try rig.driver.makeQueue(0)
        load.kick = { try rig.driver.kick(0, $0) }
        rig.driver.start()
        try load.run(for: .milliseconds(20))

        rig.process.signal(SIGKILL)
        rig.function.reset()

        #expect(rig.driver.transport.status == 0)
        #expect(rig.driver.transport.deviceFeatures != UInt64.max)
      }
      rig.function.stop()
    }
  }

  @Test(.needsBinary) func interruptsAreSignalledToWhoeverMayHaveMissedThem() async throws {
    try await Program.onThread {
      let rig = try SupervisedDiskRig()
      try rig.enableMSIX()
      try rig.driver.negotiate()
      _ = try rig.driver.makeQueue(0)
      rig.driver.start()
      let before = rig.messages.made[1].deliveries.count

      try rig.kill {}

      #expect(waitUntil { rig.messages.made[1].deliveries.count > before })
      rig.function.stop()
    }
  }

  @Test(.needsBinary) func aDeviceThatHasFailedAnswersWithOnes() async throws {
    try await Program.onThread {
      var policy = RestartPolicy()
      policy.limit = 2
      policy.firstPause = 1_000_000
      let rig = try SupervisedDiskRig(policy)
      try rig.driver.negotiate()

      rig.process.replace(with: DeviceProgram("/bin/false", ["false"]))

      #expect(waitUntil { rig.driver.transport.status == 0xFF }, "\(rig.log.lines)")
      #expect(waitUntil { rig.log.lines.contains { $0.contains("the device has failed") } })
      #expect(rig.function.readConfiguration(0, width: 4) == .max)
      rig.function.stop()
    }
  }
}
