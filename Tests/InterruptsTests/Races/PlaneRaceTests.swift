import DeviceModel
import Glibc
import HostOS
import Interrupts
import Synchronization
import TestSupport
import Testing

/// Asserts, ends, resamples, masks, routes and bindings in every order that the seeds find.
///
/// `APUS_TEST_SEED=N` runs the one seed that failed.
@Suite struct PlaneRaceTests {
  static let seeds: Range<UInt64> = {
    guard let text = unsafe getenv("APUS_TEST_SEED"),
      let seed = UInt64(unsafe String(cString: text))
    else { return 0..<1000 }
    return seed..<seed + 1
  }()

  /// A device with a level interrupt: it asserts, waits for the end, and asserts again while work is left.
  final class Device: Sendable {
    let source: InterruptSource
    private let ends = Shared()
    private let asserts = Shared()

    init(_ rig: PlaneRig, _ gsi: UInt32) throws {
      source = try rig.router.makeSource(of: GSI(gsi))
      try source.bind { [ends] in ends.add() }
    }

    var endCount: Int { ends.value }
    var assertCount: Int { asserts.value }

    /// Asserts once, and returns when the guest has served it; `false` if it takes too many steps.
    func work() -> Bool {
      let before = endCount
      asserts.add()
      source.assert()
      for _ in 0..<400 {
        if endCount > before { return true }
        Interleaving.step()
      }
      return false
    }
  }

  private func expectQuiet(_ rig: PlaneRig, _ seed: UInt64) {
    // What was on its way when the line fell is served once, and then nothing comes any more.
    for _ in 0..<4 { rig.serve() }
    #expect(!rig.serve(), "seed \(seed): a line that is low interrupts")
    #expect(rig.router.ioAPICLevels.all == 0, "seed \(seed): a level is left")
  }

  @Test func everyAssertionOfSharedLinesIsServedAndEndsOnce() throws {
    for seed in Self.seeds {
      let rig = try PlaneRig()
      rig.program(pin: 16, vector: 0x41)
      let devices = try [Device(rig, 16), Device(rig, 16), Device(rig, 16)]
      let failures = Shared()
      try Interleaving.run(
        seed,
        devices.map { device in
          { @Sendable in for _ in 0..<3 where !device.work() { failures.add() } }
        },
        besides: [{ rig.serve() }]
      )
      #expect(failures.value == 0, "seed \(seed): an asserted line does not reach the guest")
      for device in devices {
        #expect(device.endCount == device.assertCount, "seed \(seed): ends and assertions")
        #expect(!device.source.isAsserted, "seed \(seed): a source is left asserted")
      }
      expectQuiet(rig, seed)
      rig.takeDown()
    }
  }

  @Test func whatTheEndLowersInterruptsOnceForEachAssertion() throws {
    for seed in Self.seeds {
      let rig = try PlaneRig()
      rig.program(pin: 16, vector: 0x41)
      let device = try Device(rig, 16)
      try Interleaving.run(
        seed,
        [{ for _ in 0..<3 { _ = device.work() } }],
        besides: [{ rig.serve() }]
      )
      let served = rig.served.withLock { $0[0x41] ?? 0 }
      #expect(served == 3 && device.endCount == 3, "seed \(seed): one interrupt for each assertion")
      expectQuiet(rig, seed)
      rig.takeDown()
    }
  }

  @Test func maskingUnmaskingAndReroutingLoseNoAssertion() throws {
    for seed in Self.seeds {
      let rig = try PlaneRig()
      rig.program(pin: 16, vector: 0x41)
      rig.program(pin: 17, vector: 0x42)
      let devices = try [Device(rig, 16), Device(rig, 16)]
      let failures = Shared()
      try Interleaving.run(
        seed,
        devices.map { device in
          { @Sendable in for _ in 0..<2 where !device.work() { failures.add() } }
        },
        besides: [{ rig.serve() }],
        [
          {
            for _ in 0..<3 {
              rig.program(pin: 16, vector: 0x41, isMasked: true)
              rig.program(pin: 16, vector: 0x41)
            }
          },
          {
            for round in 0..<4 {
              try? rig.router.setRoutes(
                of: GSI(16),
                [.pin(.ioAPIC(round % 2 == 0 ? 17 : 16))]
              )
            }
          },
        ]
      )
      #expect(failures.value == 0, "seed \(seed): an asserted line does not reach the guest")
      for device in devices {
        #expect(device.endCount == device.assertCount, "seed \(seed): ends and assertions")
      }
      expectQuiet(rig, seed)
      rig.takeDown()
    }
  }

  @Test func bindingsThatComeAndGoLeaveNothingBehind() throws {
    for seed in Self.seeds {
      let rig = try PlaneRig()
      rig.program(pin: 16, vector: 0x41)
      let device = try Device(rig, 16)
      let failures = Shared()
      try Interleaving.run(
        seed,
        [
          { for _ in 0..<3 where !device.work() { failures.add() } },
          {
            // A neighbour on the same line that is bound, asserted and let go of at any moment.
            for round in 0..<4 {
              guard let source = try? rig.router.makeSource(of: GSI(16)) else { continue }
              if round % 2 == 0 { try? source.bind {} }
              source.assert()
              if round % 3 == 0 { try? source.bind(nil) }
            }
          },
        ],
        besides: [{ rig.serve() }]
      )
      #expect(failures.value == 0, "seed \(seed): an asserted line does not reach the guest")
      #expect(device.endCount == device.assertCount, "seed \(seed): ends and assertions")
      let line = rig.router.report.first { $0.gsi == GSI(16) }
      #expect(line?.sources.total == 1, "seed \(seed): a source has leaked")
      expectQuiet(rig, seed)
      rig.takeDown()
    }
  }

  @Test func aLineThatIsLoweredInTheHandlerDoesNotInterruptAgain() throws {
    for seed in Self.seeds {
      let rig = try PlaneRig()
      rig.program(pin: 16, vector: 0x41)
      let source = try rig.router.makeSource(of: GSI(16))
      let raised = Shared()
      try Interleaving.run(
        seed,
        [
          {
            // The device raises once the guest has lowered it.
            for _ in 0..<3 {
              raised.add()
              source.assert()
              for _ in 0..<400 {
                guard source.isAsserted else { break }
                Interleaving.step()
              }
            }
          }
        ],
        besides: [{ rig.serve { _ in source.deassert() } }]
      )
      let served = rig.served.withLock { $0[0x41] ?? 0 }
      #expect(served == raised.value, "seed \(seed): one interrupt for each assertion")
      expectQuiet(rig, seed)
      rig.takeDown()
    }
  }
}

/// A count that threads share.
final class Shared: Sendable {
  let count = Atomic(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func add() { count.add(1, ordering: .sequentiallyConsistent) }
}
