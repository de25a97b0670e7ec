import Glibc
import HostOS
import TestSupport

@testable import Interrupts

/// A plane with one processor, and a table of eventfds whose loop turns when the test says so.
final class EventRig: Sendable {
  let plane: PlaneRig
  let loop: InterruptEventLoop
  let events: InterruptEvents

  /// Level pin 16 has vector 0x41, pin 17 has 0x42.
  init() throws {
    plane = try PlaneRig()
    plane.program(pin: 16, vector: 0x41)
    plane.program(pin: 17, vector: 0x42)
    loop = try InterruptEventLoop(withoutThread: ())
    events = InterruptEvents(plane.router, on: loop)
  }

  deinit { plane.takeDown() }

  /// All that a refused request must leave as it is.
  struct Snapshot: Equatable {
    var report: [InterruptRouter.LineReport]
    var waitedFor: Int
    var irqfds: Int
    var eoifds: Int
  }

  var snapshot: Snapshot {
    let counts = events.state.withLock { ($0.irqfds.values.count, $0.eoifds.values.count) }
    return Snapshot(
      report: plane.router.report,
      waitedFor: loop.count,
      irqfds: counts.0,
      eoifds: counts.1
    )
  }

  func sources(of gsi: UInt32) -> Int {
    plane.router.report.first { $0.gsi == GSI(gsi) }?.sources.total ?? 0
  }

  func isAsserted(_ gsi: UInt32) -> Bool {
    plane.router.report.first { $0.gsi == GSI(gsi) }?.isAsserted ?? false
  }

  /// Signals, has the loop take it, and has the guest serve one interrupt to its end.
  @discardableResult
  func raiseAndServe(_ event: EventFD) -> Bool {
    event.signal()
    loop.turn()
    return plane.serve()
  }
}

extension PlaneRig {
  /// Serves one interrupt to its end, and says which it was.
  func serveOne() -> UInt8? {
    var served: UInt8?
    serve { served = $0 }
    return served
  }
}

extension InterruptEvents {
  func assign(_ event: EventFD, _ gsi: UInt32, _ flags: IRQFDFlags = .level) throws {
    try apply(IRQFDRequest(event.rawValue, gsi: GSI(gsi), flags: flags))
  }

  func deassign(_ event: EventFD, _ gsi: UInt32) throws {
    try apply(IRQFDRequest(event.rawValue, gsi: GSI(gsi), flags: .deassign))
  }

  func assign(end: EventFD, of irqfd: EventFD) throws {
    try apply(EOIFDRequest(end.rawValue, irqfd: irqfd.rawValue))
  }

  func deassign(end: EventFD, of irqfd: EventFD) throws {
    try apply(EOIFDRequest(end.rawValue, irqfd: irqfd.rawValue, flags: [.deassign, .levelIRQFD]))
  }
}

extension EventFD {
  /// The same eventfd by another descriptor.
  func duplicate() throws -> EventFD {
    EventFD(adopting: try OwnedFileDescriptor(duplicating: rawValue))
  }

  /// A blocking one, as another program may make it.
  static func blocking() throws -> EventFD {
    let event = try EventFD()
    _ = fcntl(event.rawValue, F_SETFL, 0)
    return event
  }

  /// Brings the count to its limit, from where another signal would have to wait.
  func fill() {
    var most = UInt64.max - 1
    _ = write(rawValue, &most, 8)
  }

  /// How many descriptors of this process stand for this eventfd.
  func descriptorCount() throws -> Int {
    let own = try EventFDIdentity(of: rawValue)
    // Descriptors come and go while the others' tests run.
    return (0..<4096 as Range<Int32>).filter { (try? EventFDIdentity(of: $0)) == own }.count
  }
}
