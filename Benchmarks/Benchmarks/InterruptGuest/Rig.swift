import DeviceModel
import Glibc
public import HostOS
import Synchronization

/// When the guest last wrote to its ports.
public final class GuestPorts: Sendable {
  private let ready = Atomic(false)
  private let handledAt = Atomic<UInt64>(0)
  private let handledCount = Atomic(0)

  /// Nothing has been written yet.
  public init() {}

  /// Whether the guest waits for interrupts.
  public var isReady: Bool { ready.load(ordering: .acquiring) }
  /// How many handlers have run.
  public var count: Int { handledCount.load(ordering: .acquiring) }
  /// When the last of them did.
  public var handled: UInt64 { handledAt.load(ordering: .relaxed) }

  /// The guest writes to `port`.
  public func write(_ port: UInt16) {
    guard port == Guest.handledPort else { return ready.store(true, ordering: .releasing) }
    handledAt.store(now(), ordering: .relaxed)
    handledCount.add(1, ordering: .releasing)
  }
}

/// A machine that runs the guest, with an eventfd that raises its interrupt and one that hears of its end.
public protocol GuestRig {
  /// Raises the interrupt.
  var event: EventFD { get }
  /// Is signalled at its end.
  var resample: EventFD { get }
  /// What the guest writes to.
  var ports: GuestPorts { get }
  /// Why the guest does not run any more, if it does not.
  var failure: String? { get }
}

/// An interrupt that did not go its way.
public struct Lost: Error, CustomStringConvertible {
  /// Which, and what is wrong.
  public let description: String
}

/// Times of interrupts from an eventfd to the guest's handler, and of their ends from there to an eventfd.
public struct GuestTimes {
  private var delivery: Samples
  private var end: Samples
  private var round: Samples

  /// Interrupts the halted guest of `rig` `count` times, waiting for the end of each and then until the guest has
  /// halted again.
  public init(_ rig: some GuestRig, count: Int) throws {
    (delivery, end, round) = (Samples(count: count), Samples(count: count), Samples(count: count))
    for _ in 0..<5000 where !rig.ports.isReady { usleep(1000) }
    let warmUp = 50
    for index in 0..<count + warmUp {
      usleep(2000)
      let start = now()
      rig.event.signal()
      guard Self.wait(for: rig.resample) else {
        throw Lost(description: "interrupt \(index): \(rig.failure ?? "no end within a second")")
      }
      let ended = now()
      rig.resample.drain()
      // A software KVM may end the interrupt before the handler has run.
      for _ in 0..<1000 where rig.ports.count == index { usleep(100) }
      let handled = rig.ports.handled
      guard rig.ports.count == index + 1, start <= handled else {
        throw Lost(description: "interrupt \(index): \(rig.ports.count) handlers have run")
      }
      guard index >= warmUp else { continue }
      delivery.add(start, handled)
      if handled <= ended { end.add(handled, ended) }
      round.add(start, max(handled, ended))
    }
  }

  /// Waits until `event` has a count, at most a second; false if it has none then.
  private static func wait(for event: EventFD) -> Bool {
    var item = pollfd(fd: event.rawValue, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&item, 1, 1000) == 1
  }

  /// What the columns of ``cells`` are.
  public static var header: [String] {
    ["", "eventfd to handler", "p99", "handler to resample", "p99", "both", "p99"]
  }

  /// Medians and 99th percentiles, in microseconds.
  public var cells: [String] {
    // An end that comes before the handler has run is not the guest's.
    let ends = end.count == round.count ? end.cells(inMicroseconds: true) : ["early", ""]
    return delivery.cells(inMicroseconds: true) + ends + round.cells(inMicroseconds: true)
  }
}
