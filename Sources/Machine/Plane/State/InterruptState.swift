import DeviceModel
import Interrupts
import Platform

/// All that is pending, in service, masked and routed in a guest, wherever its interrupt controllers are.
///
/// Taken from a machine in one ``InterruptMode`` and put back into one in any: what a mode has in KVM is
/// converted from and to KVM's own layouts (the extensions of the parts' types say what gets lost there). A value;
/// ``bytes`` is how it is kept in a file, and ``report`` what a user sees of it.
///
/// It is the state of controllers, timers and of what is on its way to a processor. It is not that of
/// devices: who has a line raises it again, and who sends messages routes them again, before the state is put
/// back. Nor is it that of processors: their registers and time-stamp counters come before, too.
public struct InterruptState: Equatable, Sendable {
  /// The chips that a machine has once.
  struct Chips: Equatable, Sendable {
    var ioAPIC = IOAPICState(
      index: 0,
      id: 0,
      arbitrationID: 0,
      entries: Array(repeating: .reset, count: IOAPIC.pinCount),
      pendingEdges: 0,
      levels: 0
    )
    var pic = PICPairState()
    var timer = IntervalTimerState()
  }

  /// What one processor has of interrupts.
  struct Processor: Equatable, Sendable {
    /// Whether the processor executes anything.
    enum Activity: UInt8, Equatable, Sendable, CaseIterable {
      case running
      /// In HLT.
      case halted
      /// After power-up or INIT, before the start-up interrupt.
      case waitingForStartUp
    }

    /// IA32_APIC_BASE, IA32_TSC_DEADLINE and the timer are in it; its events are ``activity`` and the rest of this.
    var localAPIC = LocalAPIC.State()
    var activity = Activity.running
    /// A vector that was acknowledged, and whose handler has not begun.
    var injected: UInt8?
    /// An NMI likewise.
    var isNMIInjected = false
    /// An NMI waits.
    var isNMIPending = false
    /// NMIs wait for an IRET.
    var isNMIMasked = false
    /// What the time-stamp counter showed when the state was taken, which the timer's deadline is compared with.
    var timestampCounter: UInt64 = 0
  }

  /// A GSI, as it was.
  struct Line: Equatable, Sendable {
    var gsi: GSI
    var isAsserted = false
    /// How many sources there are, hold the line up, and are let go by the end of the interrupt.
    var sources = 0
    var asserted = 0
    var bound = 0
    var routes: [InterruptRoute] = []
    var counters = InterruptCounters()
  }

  /// The mode that it was taken in.
  var mode: InterruptMode
  /// All GSIs that had a source or a route, by number.
  var lines: [Line] = []
  /// Messages that KVM routes, by GSI: their devices route them, and they are here to be shown.
  var messages: [(gsi: GSI, message: InterruptMessage)] = []
  var chips = Chips()
  var processors: [Processor] = []

  init(mode: InterruptMode) { self.mode = mode }

  /// Compares all of it.
  public static func == (left: Self, right: Self) -> Bool {
    left.mode == right.mode && left.lines == right.lines && left.chips == right.chips
      && left.processors == right.processors
      && left.messages.elementsEqual(right.messages) { $0 == $1 }
  }

  /// The routes of the pins.
  var pinRoutes: RoutingTable { RoutingTable(pins: lines.map { ($0.gsi, $0.routes) }) }
}

extension MachinePlane {
  /// The routes of the pins.
  var pinRoutes: RoutingTable { RoutingTable(pins: lineReport.map { ($0.gsi, $0.routes) }) }
}

extension RoutingTable {
  /// Takes those below the messages'.
  fileprivate init(pins lines: [(gsi: GSI, routes: [InterruptRoute])]) {
    self.init()
    for line in lines where line.gsi.rawValue < UInt32(IOAPIC.pinCount) && !line.routes.isEmpty {
      routes[line.gsi] = line.routes
    }
  }
}

extension InterruptState {
  /// Takes the state of `plane` and the processors that `processor` tells of.
  ///
  /// The processors must not run meanwhile; devices may. The chips come first and the processors
  /// after: an interrupt that a device raises in between is then in both or in the processor's part alone, and
  /// one that is in both is one again when it is put back, since its vector is pending there. The other way round
  /// it could be in neither.
  init(
    of plane: any MachinePlane,
    mode: InterruptMode,
    processors: [() throws -> Processor]
  ) throws {
    self.init(mode: mode)
    lines = plane.lineReport.map { report in
      // What the pins counted is theirs alone, and they do not keep it.
      var counters = report.counters
      for case .pin(let pin) in report.routes { counters += plane.counters(of: pin) }
      return Line(
        gsi: report.gsi,
        isAsserted: report.isAsserted,
        sources: report.sources.total,
        asserted: report.sources.asserted,
        bound: report.sources.bound,
        routes: report.routes,
        counters: counters
      )
    }
    messages = plane.kernelMessages
    chips = try plane.chips
    self.processors = try processors.map { try $0() }
  }

  /// Finds whether it is that of a machine with `count` processors.
  ///
  /// - Throws: ``InterruptStateError/processorCount(saved:machine:)``.
  func check(count: Int) throws(InterruptStateError) {
    guard processors.count == count else {
      throw .processorCount(saved: processors.count, machine: count)
    }
  }
}
