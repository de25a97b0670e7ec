import DeviceModel
import HostOS
import Synchronization
import TestSupport
import Testing

@testable import Interrupts

/// Sources whose line the kernel holds up, and whose ends it reports late: no assertion is lost, in any order.
@Suite struct ResamplingRaceTests {
  private final class Rig: Sendable {
    let router: InterruptRouter
    let kernel: FakeKernel

    init() throws {
      router = InterruptRouter(messages: Nobody())
      kernel = FakeKernel(router)
      router.connect(ioAPIC: kernel, pic: nil, resampling: kernel)
      try router.setRoutes(of: GSI(16), [.pin(.ioAPIC(16))])
    }

    deinit { router.disconnect() }

    private final class Nobody: MessageTarget {
      func deliver(_ message: InterruptMessage) -> InterruptDelivery { .ignored }
    }
  }

  /// A device that asserts until its end was reported as often as it has work.
  private final class Device: Sendable {
    let source: InterruptSource
    let (asserts, ends) = (Shared(), Shared())

    init(_ rig: Rig, isBound: Bool = true) throws {
      source = try rig.router.makeSource(of: GSI(16))
      if isBound { try bind() }
    }

    func bind() throws { try source.bind { [ends] in ends.add() } }

    func work() -> Bool {
      let before = ends.value
      asserts.add()
      source.assert()
      for _ in 0..<600 {
        if ends.value > before { return true }
        Interleaving.step()
      }
      return false
    }
  }

  /// The guest and the thread that hears of the ends, and further bodies; each of `workers` is waited for.
  private func run(
    _ seed: UInt64,
    _ rig: Rig,
    _ workers: [@Sendable () -> Void],
    _ others: [@Sendable () -> Void] = []
  ) throws {
    try Interleaving.run(
      seed,
      workers,
      besides: [{ rig.kernel.serve() }, { rig.kernel.report() }],
      others
    )
    rig.kernel.setMask(false)
    // What was raised after an end and before its report is served once more.
    for _ in 0..<4 {
      rig.kernel.serve()
      rig.kernel.report()
    }
    #expect(!rig.kernel.serve(), "seed \(seed): a line with nothing asserted interrupts")
    let line = rig.router.report.first { $0.gsi == GSI(16) }
    #expect(line?.isAsserted == false, "seed \(seed): a line is left asserted")
    #expect(line?.sources.asserted == 0, "seed \(seed): a source is left asserted")
  }

  @Test func everyAssertionOfSharedLinesIsServedAndEndsOnce() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try Rig()
      let failures = Shared()
      let devices = try (0..<3).map { _ in try Device(rig) }
      try run(
        seed,
        rig,
        devices.map { device in
          { @Sendable in for _ in 0..<3 where !device.work() { failures.add() } }
        },
        [
          {
            for round in 0..<4 {
              rig.kernel.setMask(round % 2 == 0)
              Interleaving.step()
            }
            rig.kernel.setMask(false)
          }
        ]
      )
      #expect(failures.value == 0, "seed \(seed): an asserted line does not reach the guest")
      for device in devices {
        #expect(device.ends.value == device.asserts.value, "seed \(seed): ends and assertions")
      }
    }
  }

  /// A neighbour that is released, lowered or unbound while asserted takes back what the kernel holds up.
  @Test func withdrawingLosesNobodysAssertion() throws {
    var withdrawn = 0
    for seed in PlaneRaceTests.seeds {
      let rig = try Rig()
      let failures = Shared()
      let device = try Device(rig)
      try run(
        seed,
        rig,
        [
          { for _ in 0..<4 where !device.work() { failures.add() } },
          {
            // A few only: each assertion of the neighbour's would bring back what was lost before.
            for round in seed..<seed + 2 {
              guard let source = try? rig.router.makeSource(of: GSI(16)) else { continue }
              try? source.bind {}
              source.assert()
              if round % 3 == 0 { source.deassert() }
              if round % 3 == 1 { try? source.bind(nil) }
            }
          },
        ]
      )
      withdrawn += rig.kernel.state.withLock { $0.withdrawn }
      #expect(failures.value == 0, "seed \(seed): an asserted line does not reach the guest")
      #expect(device.ends.value == device.asserts.value, "seed \(seed): ends and assertions")
      let line = rig.router.report.first { $0.gsi == GSI(16) }
      #expect(line?.sources.total == 1, "seed \(seed): a source has leaked")
    }
    #expect(withdrawn > 0)
  }

  /// While no interrupt is ended, the kernel's level is that of the sources, whoever was last.
  @Test func theKernelHoldsUpWhatIsAsserted() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try Rig()
      let leaving = Holder(try Device(rig).source)
      leaving.use { $0.assert() }
      let (device, other) = (try Device(rig), try Device(rig))
      let result = try Interleaving.run(
        seed: seed,
        [
          {
            switch seed % 3 {
            case 0: leaving.use { $0.deassert() }
            case 1: leaving.use { try? $0.bind(nil) }
            default: leaving.release()
            }
          },
          { device.source.assert() },
          {
            other.source.assert()
            other.source.deassert()
          },
        ]
      )
      #expect(!result.isDeadlocked, "seed \(seed): deadlock")
      leaving.release()
      #expect(rig.kernel.state.withLock { $0.held }, "seed \(seed): an assertion is lost")
      rig.kernel.serve()
      rig.kernel.report()
      #expect(device.ends.value == 1, "seed \(seed): the end is not reported")
      #expect(!rig.kernel.state.withLock { $0.held }, "seed \(seed): a level is left")
    }
  }

  /// A source that one thread lets go of.
  private final class Holder: Sendable {
    private let source: Mutex<InterruptSource?>

    init(_ source: InterruptSource) { self.source = Mutex(source) }

    func use(_ body: (InterruptSource) -> Void) { source.withLock { $0 }.map(body) }

    func release() {
      var source = self.source.withLock { $0.take() }
      source = nil
      _ = source
    }
  }

  @Test func bindingWhatIsAssertedLosesNothing() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try Rig()
      let failures = Shared()
      let devices = try (0..<2).map { try Device(rig, isBound: $0 == 0) }
      try run(
        seed,
        rig,
        devices.map { device in
          { @Sendable in
            for _ in 0..<3 {
              // It is asserted when it is bound, which is when somebody may be ending the line.
              try? device.source.bind(nil)
              device.source.assert()
              let before = device.ends.value
              try? device.bind()
              device.asserts.add()
              for step in 0... {
                if device.ends.value > before { break }
                if step == 600 { failures.add() }
                if step == 600 { break }
                Interleaving.step()
              }
            }
          }
        }
      )
      #expect(failures.value == 0, "seed \(seed): an asserted line does not reach the guest")
      for device in devices {
        #expect(device.ends.value == device.asserts.value, "seed \(seed): ends and assertions")
      }
    }
  }
}
