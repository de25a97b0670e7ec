import DeviceModel
import HostOS
import Interrupts
import RemoteDevice
import Synchronization
import TestSupport
import Testing

/// Devices, the guest and a peer that replaces its eventfds, in every order that the seeds find.
@Suite(.timeLimit(.minutes(5))) struct IOHubRaceTests {
  /// A device that wants its interrupt served, with a lock of its own as devices have.
  private final class Device: Sendable {
    private let line: any InterruptLine
    private let isAsserted = PlaneLock(false)
    let served = Atomic(0)

    init(_ hub: IOHub) { line = hub.makeLine(0) }

    func request() {
      isAsserted.withLock {
        $0 = true
        line.assert()
      }
    }

    /// The register that the driver reads, for which the line is lowered.
    func serve() -> Bool {
      isAsserted.withLock { isAsserted in
        guard isAsserted else { return false }
        isAsserted = false
        line.deassert()
        served.wrappingAdd(1, ordering: .sequentiallyConsistent)
        return true
      }
    }
  }

  /// A guest whose controller has one pair of eventfds at a time.
  private final class Guest: Sendable {
    private let pair: Mutex<(trigger: EventFD, resample: EventFD)>
    let devices: [Device]

    init(_ hub: IOHub, _ devices: [Device]) throws {
      let (trigger, resample) = (try EventFD(), try EventFD())
      pair = Mutex((trigger, resample))
      self.devices = devices
      try hub.connect(0, trigger: trigger, resample: resample)
    }

    /// Takes an interrupt, if there is one: serves one device, and ends it.
    func serve() {
      let pair = pair.withLock { $0 }
      guard pair.trigger.drain() > 0 else { return }
      _ = devices.first { $0.serve() }
      pair.resample.signal()
    }

    func replacePair(of hub: IOHub) throws {
      let (trigger, resample) = (try EventFD(), try EventFD())
      // The guest ends nothing meanwhile: as in a VMM, which changes both sides with the lock held.
      pair.withLock { $0 = (trigger, resample) }
      try hub.connect(0, trigger: trigger, resample: resample)
    }
  }

  /// What the threads of one run do.
  private final class Run: Sendable {
    private let hub: IOHub
    private let guest: Guest
    private let left: Atomic<Int>
    let lostCount = Atomic(0)

    init(_ policy: IOHub.Policy) throws {
      hub = try IOHub(policy: policy, withoutThread: ())
      guest = try Guest(hub, [Device(hub), Device(hub)])
      left = Atomic(2)
    }

    var isAsserted: Bool { hub.isAsserted(0) }
    var devices: [Device] { guest.devices }

    /// Asks for two interrupts, one after the other.
    func work(_ device: Device) {
      for round in 1...2 {
        device.request()
        var steps = 0
        while device.served.load(ordering: .acquiring) < round, steps < 2000 {
          Interleaving.step()
          steps += 1
        }
        if steps == 2000 { lostCount.wrappingAdd(1, ordering: .relaxed) }
      }
      left.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    func repeatWhileWorking(_ body: () -> Void) {
      while left.load(ordering: .acquiring) > 0 {
        body()
        Interleaving.step()
      }
    }

    func serve() { repeatWhileWorking { guest.serve() } }
    func turn() { repeatWhileWorking { hub.turn() } }

    func replace(_ count: Int) {
      for _ in 0..<count {
        try? guest.replacePair(of: hub)
        Interleaving.step()
      }
    }
  }

  @Test(arguments: [IOHub.Policy.everyRise, .automask], [0, 3])
  func noInterruptIsLost(policy: IOHub.Policy, replacements: Int) throws {
    for seed in UInt64(1)...100 {
      let run = try Run(policy)
      let result = try Interleaving.run(
        seed: seed,
        run.devices.map { device in { @Sendable in run.work(device) } }
          + [run.serve, run.turn, { run.replace(replacements) }]
      )
      #expect(!result.isDeadlocked, "seed \(seed): deadlock")
      #expect(run.lostCount.load(ordering: .relaxed) == 0, "seed \(seed): an interrupt is lost")
      #expect(!run.isAsserted, "seed \(seed): a level is left")
    }
  }

  @Test(arguments: [IOHub.Policy.everyRise, .automask])
  func threadsOfTheHostLoseNoInterruptEither(policy: IOHub.Policy) throws {
    let hub = try IOHub(policy: policy)
    let guest = try Guest(hub, [Device(hub), Device(hub)])
    let counted = Counted()
    let threads = try guest.devices.map { device in
      try TestThread {
        for round in 1...500 {
          device.request()
          if !waitUntil({ device.served.load(ordering: .acquiring) >= round }) { break }
        }
        counted.end()
      }
    }
    let others = [
      try TestThread { while counted.isWorking { guest.serve() } },
      try TestThread { while counted.isWorking { try? guest.replacePair(of: hub) } },
    ]
    for thread in threads + others { thread.join() }
    #expect(guest.devices.map { $0.served.load(ordering: .acquiring) } == [500, 500])
    #expect(!hub.isAsserted(0))
  }

  private final class Counted: Sendable {
    private let left = Atomic(2)
    var isWorking: Bool { left.load(ordering: .acquiring) > 0 }
    func end() { left.wrappingSubtract(1, ordering: .acquiringAndReleasing) }
  }
}
