import DeviceModel

/// The middle of the interrupt plane: sources on one side, controllers and processors on the other.
///
/// A GSI's level is the OR of its sources; its routes lead it to pins of the controllers, or to a
/// message. Routes may be replaced at any time, and an asserted line follows.
///
/// Any thread may call anything. One lock guards the state, and nothing is called with it held:
/// levels are set in ``PinLevels``, from where the controllers take the newest.
public final class InterruptRouter: PinAcknowledgement, Sendable {
  struct State {
    var lines: [UInt32: GSILine] = [:]
    /// The I/O APIC's pins, and then the 8259s'.
    var pins = InlineArray<40, RouterPin>(repeating: RouterPin())
    var controllers = Controllers()
    let ioAPICLevels: PinLevels
    let picLevels: PinLevels

    init(_ ioAPICLevels: PinLevels, _ picLevels: PinLevels) {
      self.ioAPICLevels = ioAPICLevels
      self.picLevels = picLevels
    }
  }

  /// Whom to tell of changed levels.
  struct Controllers: Sendable {
    var ioAPIC: (any InterruptController)?
    var pic: (any InterruptController)?
    var resampling: (any ResamplingController)?
  }

  /// The levels at the I/O APIC's 24 pins.
  public let ioAPICLevels: PinLevels
  /// The levels at the 8259s' 16 pins.
  public let picLevels: PinLevels

  let messages: any MessageTarget
  let state: PlaneLock<State>

  /// Makes a router with no routes; messages go to `messages`.
  public init(messages: any MessageTarget) {
    self.messages = messages
    let (ioAPIC, pic) = (PinLevels(), PinLevels())
    ioAPICLevels = ioAPIC
    picLevels = pic
    state = PlaneLock(State(ioAPIC, pic))
  }

  /// Connects the controllers that look at ``ioAPICLevels`` and ``picLevels``.
  ///
  /// They hold the router and it holds them: ``disconnect()`` ends that.
  ///
  /// - Parameters:
  ///   - ioAPIC: Looks at ``ioAPICLevels``.
  ///   - pic: Looks at ``picLevels``.
  ///   - resampling: Holds bound sources up, if the end of an interrupt is not in this process's hand.
  public func connect(
    ioAPIC: (any InterruptController)?,
    pic: (any InterruptController)?,
    resampling: (any ResamplingController)? = nil
  ) {
    state.withLock {
      $0.controllers = Controllers(ioAPIC: ioAPIC, pic: pic, resampling: resampling)
    }
  }

  /// Lets go of the controllers; levels are kept, and no longer reach anybody.
  public func disconnect() { state.withLock { $0.controllers = Controllers() } }

  /// Adds a source of `gsi`, de-asserted.
  ///
  /// - Throws: ``InterruptError/noSuchGSI(_:)``.
  public func makeSource(of gsi: GSI) throws(InterruptError) -> InterruptSource {
    guard gsi.rawValue < RoutingTable.gsiCount else { throw .noSuchGSI(gsi) }
    let source = state.withLock { state in
      let line = state.line(gsi)
      line.sourceCount += 1
      return SourceState(line)
    }
    return InterruptSource(source, of: self)
  }

  /// Replaces all routes; a line that is asserted is so at its new pins at once, and at its old ones no more.
  ///
  /// - Parameters:
  ///   - table: The new routes.
  ///   - limit: GSIs from here on keep theirs, and are not looked at in `table`.
  /// - Throws: ``InterruptError`` for a table that KVM would refuse; then nothing changes.
  public func setRoutes(
    _ table: RoutingTable,
    below limit: UInt32 = RoutingTable.gsiCount
  ) throws(InterruptError) {
    try table.validate()
    var effects = Effects()
    state.withLock { state in
      for (gsi, routes) in table.routes where gsi.rawValue < limit {
        state.setRoutes(of: state.line(gsi), routes, &effects)
      }
      for line in state.lines.values
      where line.gsi.rawValue < limit && table.routes[line.gsi] == nil {
        state.setRoutes(of: line, [], &effects)
      }
      state.prune()
      effects.take(state.controllers)
    }
    perform(effects)
  }

  /// Replaces the routes of one GSI; the others stay.
  ///
  /// - Throws: As ``setRoutes(_:)``.
  public func setRoutes(of gsi: GSI, _ routes: [InterruptRoute]) throws(InterruptError) {
    try RoutingTable([gsi: routes]).validate()
    var effects = Effects()
    state.withLock { state in
      let line = state.line(gsi)
      state.setRoutes(of: line, routes, &effects)
      state.prune(line)
      effects.take(state.controllers)
    }
    perform(effects)
  }

  /// The routes as they are.
  public var routes: RoutingTable {
    let lines = state.withLock { state in
      state.lines.values.filter { !$0.routes.isEmpty }.map { ($0.gsi, $0.routes) }
    }
    return RoutingTable(Dictionary(uniqueKeysWithValues: lines))
  }

  /// Sends one interrupt: a rise and fall of the pins that `gsi` leads to, or its message.
  public func pulse(_ gsi: GSI) {
    guard let source = try? makeSource(of: gsi) else { return }
    source.assert()
    source.deassert()
  }

  /// The end of the interrupt of a pin, by its controller: de-asserts what is bound to it and asserted,
  /// and then tells whose that was.
  public func acknowledged(_ pin: ControllerPin) {
    guard let index = pin.index else { return }
    var effects = Effects()
    var notifiers = EndNotifiers()
    state.withLock { state in
      for line in state.pins[index].lines {
        line.counters.ended &+= 1
        if !line.hasBeenUpSinceEnd, !line.isAsserted { line.counters.spurious &+= 1 }
        for source in line.bound where source.isAsserted {
          guard let notifier = source.notifier else { continue }
          source.isAsserted = false
          if source.isHeldByKernel {
            // The kernel has lowered it already.
            line.heldByKernel -= 1
          } else {
            state.change(line, by: -1, &effects)
          }
          line.counters.resampled &+= 1
          notifiers.append(notifier)
        }
        // A line that is still up interrupts once more, and for that it need not rise.
        line.hasBeenUpSinceEnd = line.isAsserted
      }
      effects.take(state.controllers)
    }
    perform(effects)
    notifiers.call()
  }
}

/// What a user may see of it.
extension InterruptRouter {
  /// One GSI, for a user to see.
  public struct LineReport: Equatable, Sendable {
    /// Its number.
    public var gsi: GSI
    /// Its level.
    public var isAsserted: Bool
    /// How many sources there are, how many of them asserted, and how many released by the end of the interrupt.
    public var sources: (total: Int, asserted: Int, bound: Int)
    /// Where it leads.
    public var routes: [InterruptRoute]
    /// What happened so far.
    public var counters: InterruptCounters

    /// Compares all of it.
    public static func == (left: Self, right: Self) -> Bool {
      left.gsi == right.gsi && left.isAsserted == right.isAsserted
        && left.sources == right.sources && left.routes == right.routes
        && left.counters == right.counters
    }
  }

  /// All GSIs that have a source or a route, by number.
  public var report: [LineReport] {
    let all = state.withLock { state in
      state.lines.values.map { line in
        LineReport(
          gsi: line.gsi,
          isAsserted: line.isAsserted,
          sources: (line.sourceCount, line.asserted + line.heldByKernel, line.bound.count),
          routes: line.routes,
          counters: line.counters
        )
      }
    }
    return all.sorted { $0.gsi < $1.gsi }
  }

  /// Adds what was counted before, in a machine whose state is put back here, at GSIs that there are.
  public func add(_ counters: [(gsi: GSI, counters: InterruptCounters)]) {
    state.withLock { state in
      for (gsi, before) in counters {
        guard let line = state.lines[gsi.rawValue] else { continue }
        line.counters += before
        // Nobody knows whether it was up since the last end: the next end is not called spurious for that.
        if before.raised > 0 { line.hasBeenUpSinceEnd = true }
      }
    }
  }

  /// What happened at a GSI so far.
  public func counters(of gsi: GSI) -> InterruptCounters {
    state.withLock { $0.lines[gsi.rawValue]?.counters } ?? InterruptCounters()
  }
}
