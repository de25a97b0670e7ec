import DeviceModel

extension InterruptRouter {
  /// What is to be done once the lock is released.
  struct Effects {
    var refreshesIOAPIC = false
    var refreshesPIC = false
    /// Those of the controllers that are to be told.
    private(set) var controllers = Controllers()
    /// A message that a line's rise sends.
    var message: (line: GSILine, message: InterruptMessage)?
    /// Further ones: several lines can get a message route at once.
    var moreMessages: [(line: GSILine, message: InterruptMessage)] = []
    /// A line that the kernel has to hold up, or no more.
    var held: GSILine?

    /// Takes those of `all` that are to be told; the others cost nothing.
    mutating func take(_ all: borrowing Controllers) {
      if refreshesIOAPIC { controllers.ioAPIC = all.ioAPIC }
      if refreshesPIC { controllers.pic = all.pic }
      if held != nil { controllers.resampling = all.resampling }
    }

    mutating func send(_ sent: InterruptMessage, of line: GSILine) {
      if message == nil { message = (line, sent) } else { moreMessages.append((line, sent)) }
    }
  }

  /// Acts, with no lock held.
  func perform(_ effects: Effects) {
    effects.controllers.ioAPIC?.refresh()
    effects.controllers.pic?.refresh()
    if let (line, message) = effects.message { send(message, of: line) }
    for (line, message) in effects.moreMessages { send(message, of: line) }
    if let line = effects.held, let resampling = effects.controllers.resampling {
      settle(line, resampling)
    }
  }

  /// Has the kernel hold up again what it has let go of, when the routes of `gsis` have changed.
  package func holdAgain(_ gsis: [GSI]) {
    let (lines, resampling) = state.withLock { state in
      let lines = gsis.compactMap { state.lines[$0.rawValue] }.filter { $0.heldByKernel > 0 }
      return (lines, state.controllers.resampling)
    }
    guard let resampling else { return }
    for line in lines { settle(line, resampling) }
  }

  /// Has the kernel hold a line up, or not, as its sources are.
  ///
  /// Two threads may come in any order, and the later one's order to the kernel be the older: hence each
  /// looks again after its own, and the last to act has seen what is so.
  private func settle(_ line: GSILine, _ resampling: any ResamplingController) {
    var isHeld = state.withLock { _ in line.heldByKernel > 0 }
    while true {
      if isHeld { resampling.hold(line.gsi) } else { resampling.withdraw(line.gsi) }
      let isHeldNow = state.withLock { _ in line.heldByKernel > 0 }
      guard isHeldNow != isHeld else { return }
      isHeld = isHeldNow
    }
  }

  private func send(_ message: InterruptMessage, of line: GSILine) {
    let delivery = messages.deliver(message)
    state.withLock { _ in
      switch delivery {
      case .delivered: line.counters.delivered &+= 1
      case .coalesced: line.counters.coalesced &+= 1
      case .ignored: break
      }
    }
  }

  func isAsserted(_ source: SourceState) -> Bool { state.withLock { _ in source.isAsserted } }

  /// Sets a source's level, by its owner.
  func set(_ source: SourceState, _ level: Bool) {
    var effects = Effects()
    state.withLock { state in
      guard source.isAsserted != level else {
        if level { source.line.counters.coalesced &+= 1 }
        return
      }
      state.set(source, level, &effects)
      effects.take(state.controllers)
    }
    perform(effects)
  }

  /// Forgets a source whose owner has let go of it.
  func release(_ source: SourceState) {
    var effects = Effects()
    // Let go of with no lock held: it may hold the last of another source.
    var notifier: (@Sendable () -> Void)?
    state.withLock { state in
      if source.isAsserted { state.set(source, false, &effects) }
      notifier = source.notifier
      source.notifier = nil
      source.line.bound.removeAll { $0 === source }
      source.line.sourceCount -= 1
      state.prune(source.line)
      effects.take(state.controllers)
    }
    perform(effects)
    withExtendedLifetime(notifier) {}
  }

  func bind(_ source: SourceState, _ notifier: (@Sendable () -> Void)?) throws(InterruptError) {
    let resampling = state.withLock { $0.controllers.resampling }
    if notifier != nil { try resampling?.prepare(source.line.gsi) }
    var effects = Effects()
    var old: (@Sendable () -> Void)?
    state.withLock { state in
      old = source.notifier
      source.notifier = notifier
      source.line.bound.removeAll { $0 === source }
      if notifier != nil { source.line.bound.append(source) }
      if source.isAsserted { state.chooseHolder(of: source, &effects) }
      effects.take(state.controllers)
    }
    perform(effects)
    withExtendedLifetime(old) {}
  }
}

extension InterruptRouter.State {
  mutating func line(_ gsi: GSI) -> GSILine {
    if let line = lines[gsi.rawValue] { return line }
    let line = GSILine(gsi)
    lines[gsi.rawValue] = line
    return line
  }

  /// Sets a source's level and finds what follows.
  mutating func set(_ source: SourceState, _ level: Bool, _ effects: inout InterruptRouter.Effects)
  {
    let line = source.line
    source.isAsserted = level
    if level {
      line.hasBeenUpSinceEnd = true
      if !line.isAsserted { line.counters.raised &+= 1 }
      source.isHeldByKernel = isHeldByKernel(source)
    }
    count(source, level ? 1 : -1, &effects)
  }

  /// Passes an asserted source from the process to the kernel, or back, if that is where it belongs now.
  mutating func chooseHolder(of source: SourceState, _ effects: inout InterruptRouter.Effects) {
    guard source.isHeldByKernel != isHeldByKernel(source) else { return }
    count(source, -1, &effects)
    source.isHeldByKernel.toggle()
    count(source, 1, &effects)
  }

  private func isHeldByKernel(_ source: SourceState) -> Bool {
    source.notifier != nil && controllers.resampling != nil
  }

  private mutating func count(
    _ source: SourceState,
    _ step: Int,
    _ effects: inout InterruptRouter.Effects
  ) {
    let line = source.line
    guard source.isHeldByKernel else { return change(line, by: step, &effects) }
    line.heldByKernel += step
    // Each assertion is told: what the kernel holds up is let down at every end.
    if step > 0 || line.heldByKernel == 0 { effects.held = line }
  }

  /// Changes how many sources of a line are asserted by one.
  mutating func change(_ line: GSILine, by step: Int, _ effects: inout InterruptRouter.Effects) {
    let before = line.asserted > 0
    line.asserted += step
    let after = line.asserted > 0
    guard before != after else { return }
    for route in line.routes { apply(route, of: line, after, &effects) }
  }

  /// Gives a line other routes.
  mutating func setRoutes(
    of line: GSILine,
    _ routes: [InterruptRoute],
    _ effects: inout InterruptRouter.Effects
  ) {
    guard line.routes != routes else { return }
    let (old, new) = (line.routes, routes)
    line.routes = new
    for route in old where !new.contains(route) {
      if let index = route.pinIndex { pins[index].lines.removeAll { $0 === line } }
      if line.asserted > 0 { apply(route, of: line, false, &effects) }
    }
    for route in new where !old.contains(route) {
      if let index = route.pinIndex { pins[index].lines.append(line) }
      if line.asserted > 0 { apply(route, of: line, true, &effects) }
    }
  }

  /// Takes a line's level to the end of one of its routes.
  private mutating func apply(
    _ route: InterruptRoute,
    of line: GSILine,
    _ level: Bool,
    _ effects: inout InterruptRouter.Effects
  ) {
    switch route {
    case .pin(let pin):
      guard let index = pin.index else { return }
      pins[index].asserted += level ? 1 : -1
      let isAsserted = pins[index].asserted > 0
      switch pin {
      case .ioAPIC(let pin):
        ioAPICLevels.set(pin, isAsserted)
        effects.refreshesIOAPIC = true
      case .pic(let pin):
        picLevels.set(pin, isAsserted)
        effects.refreshesPIC = true
      }
    case .message(let message): if level { effects.send(message, of: line) }
    }
  }

  /// Forgets lines with neither source nor route, so that no caller can make us keep many.
  mutating func prune() {
    for line in lines.values { prune(line) }
  }

  mutating func prune(_ line: GSILine) {
    guard line.sourceCount == 0, line.routes.isEmpty else { return }
    lines[line.gsi.rawValue] = nil
  }
}
