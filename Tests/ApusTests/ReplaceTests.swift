import Glibc
import GuestMemory
import HostOS
import RemoteDevice
import TestSupport
import Testing
import Virtio

@testable import Machine

/// The process of a device is replaced while its driver works.
@Suite struct ReplaceTests {
  @Test(.needsBinary, .timeLimit(.minutes(5)))
  func everyRequestIsCompletedOnceThoughTheProcessIsReplaced() async throws {
    try await Program.onThread {
      let folder = try TemporaryFolder()
      let path = try folder.file("disk", DiskLoad.content)
      let log = RecordedLog()
      func program(_ binary: String, _ engine: DiskImage.Engine?) -> DeviceProgram {
        var disk = MachineConfiguration.Disk(path: path)
        disk.engine = engine
        return DeviceProgram(
          binary,
          ["apus", "serve"] + disk.serveArguments(name: "disk0", queueCount: 1)
            + ["--vhost-user", "fd:3", "--supervised"]
        )
      }
      let binary = try Given.binary()
      let first = program(binary, nil)
      let process = try DeviceSupervisor("disk0", first, logger: log.makeLogger())
      let memory = try GuestMemory(count: 4 << 20)
      let remote = try VhostUserRemote(
        VhostUserRemote.Options(.block, source: process, name: "disk0"),
        logger: log.makeLogger()
      )
      let controller = try VirtioDeviceController(
        remote,
        memory: memory,
        interrupts: RecordingInterrupts(),
        logger: log.makeLogger()
      )
      let driver = MockDriver(DirectTransport(controller), in: memory, from: GuestAddress(0x10000))
      try driver.negotiate(without: [])
      let load = DiskLoad(memory)
      load.queue = try driver.makeQueue(0)
      load.kick = { try driver.kick(0, $0) }
      driver.start()
      try load.run(for: .milliseconds(100))
      #expect(waitUntil { process.sandbox != nil }, "\(log.lines)")
      #expect(process.sandbox?.contains("in force") == true)

      /// Tries a program while the driver works.
      func attempt(_ program: DeviceProgram) throws -> String? {
        let isDone = try EventFD()
        let outcome = Outcome()
        let thread = try TestThread {
          outcome.set(Result { try process.attempt(program, within: 20_000_000_000) })
          isDone.signal()
        }
        _ = try waitUntil {
          try load.run(for: .milliseconds(5))
          return isReadable(isDone.rawValue)
        }
        thread.join()
        return try outcome.get()
      }
      for engine in [.calls, nil, .calls] as [DiskImage.Engine?] {
        #expect(try attempt(program(binary, engine)) == nil, "\(log.lines)")
        try load.run(for: .milliseconds(50))
      }
      let last = process.program
      let failure = try attempt(program("/bin/false", nil))
      #expect(failure?.contains("exited with code 1") == true, "\(failure ?? "none")")
      #expect(process.program == last)
      let before = load.count
      let isServed = try waitUntil {
        try load.run(for: .milliseconds(5))
        return load.count > before
      }
      #expect(isServed)
      try load.finish()

      #expect(load.failures == [])
      #expect(try DiskLoad.words(folder.bytes(at: path)) == load.expected)
      #expect(!controller.status.contains(.needsReset))
      controller.reset()
    }
  }

  /// The registers are the process's, too.
  @Test(.needsBinary, .timeLimit(.minutes(5)))
  func aDeviceWithItsRegistersGoesOnThoughTheProcessIsReplaced() async throws {
    try await Program.onThread {
      let rig = try SupervisedDiskRig()
      try rig.driver.negotiate(without: [])
      let load = DiskLoad(rig.memory)
      load.queue = try rig.driver.makeQueue(0)
      load.kick = { queue in if try queue.needsKick() { rig.ring(0) } }
      rig.driver.start()
      try load.run(for: .milliseconds(100))

      func attempt(_ program: DeviceProgram) throws -> String? {
        let isDone = try EventFD()
        let outcome = Outcome()
        let process = rig.process
        let thread = try TestThread {
          outcome.set(Result { try process.attempt(program, within: 20_000_000_000) })
          isDone.signal()
        }
        _ = try waitUntil {
          try load.run(for: .milliseconds(5))
          return isReadable(isDone.rawValue)
        }
        thread.join()
        return try outcome.get()
      }
      let program = rig.process.program
      for _ in 0..<3 {
        #expect(try attempt(program) == nil, "\(rig.log.lines)")
        try load.run(for: .milliseconds(50))
      }
      var other = program
      other.path = "/bin/false"
      #expect(try attempt(other)?.contains("exited with code 1") == true)
      #expect(rig.process.program == program)
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

  private final class Outcome: @unchecked Sendable {
    // Sendable: set before the thread is joined, read after that.
    private var result: Result<String?, any Error>?
    func set(_ new: Result<String?, any Error>) { result = new }
    func get() throws -> String? { try result?.get() }
  }
}
