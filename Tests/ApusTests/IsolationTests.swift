import Glibc
import GuestMemory
import HostOS
import Logging
import RemoteDevice
import TestSupport
import Testing
import Virtio

@testable import Machine
@testable import apus

/// Devices of a machine in processes of their own.
@Suite struct IsolationTests {
  @Test(
    arguments: [
      "a.img", "a,,b.img,readonly,direct", "null:1G,cache=writethrough,serial=x,,y",
      "nbd:unix:/a,,b,timeout=5,reconnect=7", "a.img,engine=sync,bps=100M/16M,iops=2000/50",
    ]
  )
  func aDisksProcessIsToldAllThatTheUserSaid(text: String) throws {
    let disk = try DiskOption(parsing: text + ",queues=3,slot=4").disk

    let arguments = disk.serveArguments(name: "root", queueCount: 3)

    var expected = try DiskOption(parsing: text).disk
    expected.name = "root"
    #expect(try DiskOption(parsing: arguments[1]).disk == expected)
    #expect(Array(arguments[2...]) == ["--queues", "3"])
  }

  @Test(
    arguments: [
      "tap=vm0,mtu=1400", "unix:/a,,b,server", "unix:/a,rx-bytes=1M/2M,tx-packets=100",
    ]
  )
  func aNetworksProcessIsToldAllThatTheUserSaid(text: String) throws {
    let network = try #require(NetOption(argument: text + ",mac=52:54:00:12:34:56,slot=4")).network

    let arguments = network.serveArguments(descriptorsFrom: 4)

    #expect(NetOption(argument: arguments[1])?.network == NetOption(argument: text)?.network)
  }

  @Test func descriptorsOfANetworkArePassedOn() throws {
    let network = try #require(NetOption(argument: "fd=17:9")).network
    #expect(network.serveArguments(descriptorsFrom: 4) == ["net", "fd=4:5"])
    #expect(network.descriptors == [17, 9])
  }

  @Test(.needsBinary, .timeLimit(.minutes(10)), arguments: [[], .packedRing] as [VirtioFeatures])
  func everyRequestIsCompletedOnceThoughTheProcessIsKilled(
    without: VirtioFeatures
  ) async throws {
    try await Program.onThread {
      let folder = try TemporaryFolder()
      let path = try folder.file("disk", DiskLoad.content)
      let log = RecordedLog()
      let disk = MachineConfiguration.Disk(path: path)
      // However soon it is killed.
      var policy = RestartPolicy()
      policy.wellAfter = 0
      let process = try DeviceSupervisor(
        "disk0",
        DeviceProgram(
          try Given.binary(),
          ["apus", "serve"] + disk.serveArguments(name: "disk0", queueCount: 1)
            + ["--vhost-user", "fd:3"]
        ),
        policy: policy,
        logger: log.makeLogger()
      )
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
      try driver.negotiate(without: without)
      let load = DiskLoad(memory)
      load.queue = try driver.makeQueue(0)
      load.kick = { try driver.kick(0, $0) }
      driver.start()
      var last: Int32 = 0
      for _ in 0..<20 {
        var id: Int32 = 0
        let isRunning = try waitUntil {
          try load.run(for: .milliseconds(20))
          if case .running(let new) = process.phase { id = new }
          return id != 0 && id != last
        }
        try #require(isRunning, "\(log.lines)")
        try load.run(for: .milliseconds(Int.random(in: 20...150)))
        kill(id, SIGKILL)
        last = id
      }
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
      // The last death may not have been told yet.
      let areTold = waitUntil {
        log.lines.count { $0.contains("was ended by SIGKILL; another is started") } == 20
      }
      #expect(areTold, "\(log.lines)")
      controller.reset()
    }
  }

  @Test(
    .needsDebian,
    .needsEmulatedHost,
    .timeLimit(.minutes(10)),
    arguments: [[], ["--no-packed-rings", "--irqchip", "kernel"]]
  )
  func aGuestDoesNotNoticeThatItsDevicesDie(options: [String]) async throws {
    let boot = GuestBoot(
      tasks: "no_timer_check apus.test=steady,disk,entropy",
      options: options + ["--disk", "/run/disk", "--isolate", "devices", "--log-level", "debug"],
      accelerator: "kvm"
    )

    let ended = try await HostCommand.run(
      [
        "apus=$1; cp $2 /run/disk; count=${3%/*}/lib/count-calls; shift 3; busybox mkfifo /run/in",
        "$apus \"$@\" <>/run/in >/run/console 2>/run/log & guest=$!; kills=0",
        "until grep -q 'ok steady-started' /run/console; do sleep 0.2; kill -0 $guest || break; done",
        "sh $count $guest 3; echo >/run/in",
        "while kill -0 $guest 2>/run/null; do "
          + "for device in $(cat /proc/$guest/task/*/children); do kill -9 $device; kills=$((kills+1)); sleep 2; done",
        "done; wait $guest; code=$?; cat /run/console; echo KILLS $kills",
        "left=0; for f in /proc/[0-9]*/cmdline; do if grep -q 'vfio-use[r]' $f 2>/run/null; then left=$((left+1)); fi; done",
        "echo LEFT $left",
        "echo DEATHS $(grep -c 'ended by SIGKILL; another is started' /run/log)",
        "busybox tail -n 30 /run/log >&2; exit $code",
      ].joined(separator: "; "),
      [
        Given.binary(), Given.path("APUS_TEST_DISK"), Given.path("APUS_TEST_IN_EMULATED_HOST"),
      ] + boot.arguments(),
      within: 280
    )

    #expect(ended.code == 0, "\(ended)")
    #expect(ended.failures == [], "\(ended)")
    for check in ["ok steady", "ok disk-verify", "ok disk-write", "ok disk-unmount", "ok entropy"] {
      #expect(ended.reports.contains { $0.hasPrefix(check) }, "\(check): \(ended)")
    }
    #expect(ended.lines.contains { $0.hasPrefix("KILLS ") && $0 != "KILLS 0" }, "\(ended)")
    #expect(ended.lines.contains { $0.hasPrefix("DEATHS ") && $0 != "DEATHS 0" }, "\(ended)")
    #expect(ended.lines.contains("LEFT 0"), "\(ended)")
    let called = ended.lines.filter { $0.hasPrefix("CALLED ") }.map { line in
      line.split(separator: " ").dropFirst().map(String.init)
    }
    // There were requests and interrupts meanwhile, and nothing of ours had to do with them: vCPUs were in the guest, and the
    // main thread looked whether they had halted for good, with three calls once a second.
    let interrupts = called.first { $0.first == "interrupts" }.flatMap { Int($0[1]) } ?? 0
    #expect(interrupts > 100, "\(ended)")
    let threads = called.filter { $0.first == "thread" && $0.dropLast().last != "ioctl:ae80" }
    #expect(threads.allSatisfy { $0[1] == "main:" }, "\(ended)")
    #expect(threads.reduce(0) { $0 + (Int($1.last ?? "") ?? 0) } <= 5 * 3, "\(ended)")
  }
}
