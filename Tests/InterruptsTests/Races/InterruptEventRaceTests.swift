import HostOS
import TestSupport
import Testing

@testable import Interrupts

/// Signals, ends, assignments, masks and routes in every order that the seeds find; the loop is one of the threads.
@Suite struct InterruptEventRaceTests {
  private struct Device: Sendable {
    let irq: EventFD
    let end: EventFD

    init(_ irq: EventFD, _ end: EventFD) {
      self.irq = irq
      self.end = end
    }

    init(_ events: InterruptEvents) throws {
      irq = try EventFD()
      end = try EventFD()
      try events.assign(irq, 16)
      try events.assign(end: end, of: irq)
    }

    /// Signals, and waits for the end; `false` if it takes too many steps.
    func work() -> Bool {
      irq.signal()
      for _ in 0..<600 {
        if end.drain() > 0 { return true }
        Interleaving.step()
      }
      return false
    }
  }

  /// The loop and the guest go on until `workers` are through; then nothing may be left.
  private func run(
    _ seed: UInt64,
    _ rig: EventRig,
    _ workers: [@Sendable () -> Void],
    _ others: [@Sendable () -> Void] = []
  ) throws {
    try Interleaving.run(
      seed,
      workers,
      besides: [{ rig.loop.turn() }, { rig.plane.serve() }],
      others
    )
    for _ in 0..<4 {
      rig.loop.turn()
      rig.plane.serve()
    }
    #expect(!rig.plane.serve(), "seed \(seed): a line that is low interrupts")
    #expect(rig.plane.router.ioAPICLevels.all == 0, "seed \(seed): a level is left")
  }

  @Test func noSignalIsLostWhileNeighboursMasksAndRoutesChange() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try EventRig()
      let failures = Shared()
      let devices = try [Device(rig.events), Device(rig.events)]
      try run(
        seed,
        rig,
        devices.map { device in
          { @Sendable in for _ in 0..<2 where !device.work() { failures.add() } }
        } + [
          {
            for round in 0..<3 {
              do {
                let (irq, end) = (try EventFD(), try EventFD())
                try rig.events.assign(irq, 16)
                irq.signal()
                try rig.events.assign(end: end, of: irq)
                if round % 2 == 0 { try rig.events.deassign(irq, 16) }
                try rig.events.deassign(end: end, of: irq)
                if round % 2 != 0 { try rig.events.deassign(irq, 16) }
              } catch { failures.add() }
            }
          }
        ],
        [
          {
            for _ in 0..<2 {
              rig.plane.program(pin: 16, vector: 0x41, isMasked: true)
              rig.plane.program(pin: 16, vector: 0x41)
            }
          },
          {
            for round in 0..<4 {
              try? rig.plane.router.setRoutes(
                of: GSI(16),
                [.pin(.ioAPIC(round % 2 == 0 ? 17 : 16))]
              )
            }
          },
        ]
      )
      #expect(failures.value == 0, "seed \(seed): a signal does not reach the guest")
      for device in devices { #expect(device.end.drain() == 0, "seed \(seed): one end too many") }
      #expect(rig.sources(of: 16) == 2, "seed \(seed): a source has leaked")
      #expect(rig.loop.count == 2, "seed \(seed): the loop waits for what is gone")
    }
  }

  /// Owners that take the same eventfds at once: what one has begun, no other takes apart.
  @Test func requestsForTheSameEventfdsAreOneAfterAnother() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try EventRig()
      let (irq, end) = (try EventFD(), try EventFD())
      let (assigned, taken) = (Shared(), Shared())
      let owner: @Sendable () -> Void = {
        for _ in 0..<2 {
          if (try? rig.events.assign(irq, 16)) != nil { assigned.add() }
          if (try? rig.events.assign(end: end, of: irq)) != nil { assigned.add() }
          irq.signal()
          if (try? rig.events.deassign(end: end, of: irq)) != nil { taken.add() }
          if (try? rig.events.deassign(irq, 16)) != nil { taken.add() }
        }
      }
      try Interleaving.run(
        seed,
        [@Sendable () -> Void](repeating: owner, count: 3),
        besides: [{ rig.loop.turn() }]
      )
      if (try? rig.events.deassign(irq, 16)) != nil { taken.add() }
      if (try? rig.events.deassign(end: end, of: irq)) != nil { taken.add() }
      #expect(assigned.value == taken.value, "seed \(seed): a binding is lost")
      #expect(rig.loop.count == 0, "seed \(seed): the loop waits for what is gone")
      #expect(rig.sources(of: 16) == 0, "seed \(seed): a source has leaked")
      #expect(rig.plane.router.ioAPICLevels.all == 0, "seed \(seed): a level is left")
    }
  }

  /// An EOIFD that was assigned works, whoever took another one off just before.
  @Test func anAssignedEOIFDIsBound() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try EventRig()
      let irq = try EventFD()
      try rig.events.assign(irq, 16)
      let ends = try (0..<2).map { _ in try EventFD() }
      let failures = Shared()
      try run(
        seed,
        rig,
        ends.map { end in
          { @Sendable in
            for _ in 0..<2 {
              // The other one has it now and then.
              for _ in 0..<300 {
                if (try? rig.events.assign(end: end, of: irq)) != nil { break }
                Interleaving.step()
              }
              if !Device(irq, end).work() { failures.add() }
              if (try? rig.events.deassign(end: end, of: irq)) == nil { failures.add() }
              end.drain()
            }
          }
        }
      )
      #expect(failures.value == 0, "seed \(seed): an end is not reported")
    }
  }

  /// What is signalled after a binding's end is the next binding's.
  @Test func theNextBindingGetsItsSignals() throws {
    for seed in PlaneRaceTests.seeds {
      let rig = try EventRig()
      let (irq, end) = (try EventFD(), try EventFD())
      let failures = Shared()
      try run(
        seed,
        rig,
        [
          {
            do {
              for round in 0..<4 as Range<UInt32> {
                irq.signal()
                try rig.events.assign(irq, 16 + round % 2)
                try rig.events.deassign(irq, 16 + round % 2)
                try rig.events.assign(irq, 17 - round % 2)
                try rig.events.assign(end: end, of: irq)
                end.drain()
                if !Device(irq, end).work() { failures.add() }
                try rig.events.deassign(end: end, of: irq)
                try rig.events.deassign(irq, 17 - round % 2)
              }
            } catch { failures.add() }
          }
        ]
      )
      #expect(failures.value == 0, "seed \(seed): a signal went to the binding before")
      #expect(rig.sources(of: 16) + rig.sources(of: 17) == 0, "seed \(seed): a source has leaked")
    }
  }
}
