import DeviceModel

extension InterruptRouter {
  /// What is to be done once the lock is released.
  struct Effects {
    var controllers = Controllers()
    var refreshesIOAPIC = false
    var refreshesPIC = false
    /// A message that a line's rise sends.
    var message: (line: GSILine, message: InterruptMessage)?
    /// Further ones: several lines can get a message route at once.
    var moreMessages: [(line: GSILine, message: InterruptMessage)] = []
    var held: GSI?
    var withdrawn: GSI?

    mutating func send(_ sent: InterruptMessage, of line: GSILine) {
      if message == nil { message = (line, sent) } else { moreMessages.append((line, sent)) }
    }
  }

  /// Acts, with no lock held.
  func perform(_ effects: Effects) {
    if effects.refreshesIOAPIC { effects.controllers.ioAPIC?.refresh() }
    if effects.refreshesPIC { effects.controllers.pic?.refresh() }
    if let (line, message) = effects.message { send(message, of: line) }
    for (line, message) in effects.moreMessages { send(message, of: line) }
    if let gsi = effects.held { effects.controllers.resampling?.hold(gsi) }
    if let gsi = effects.withdrawn { effects.controllers.resampling?.withdraw(gsi) }
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
      effects.controllers = state.controllers
    }
    perform(effects)
  }

  /// Forgets a source whose owner has let go of it.
  func release(_ source: SourceState) {
    var effects = Effects()
    state.withLock { state in
      if source.isAsserted { state.set(source, false, &effects) }
      source.notifier = nil
      source.line.bound.removeAll { $0 === source }
      source.line.sourceCount -= 1
      state.prune(source.line)
      effects.controllers = state.controllers
    }
    perform(effects)
  }

  func bind(_ source: SourceState, _ notifier: (@Sendable () -> Void)?) throws(InterruptError) {
    let resampling = state.withLock { $0.controllers.resampling }
    if notifier != nil { try resampling?.prepare(source.line.gsi) }
    // Two steps where one would do: what holds an asserted source up changes between them.
    var (before, after) = (Effects(), Effects())
    state.withLock { state in
      let wasAsserted = source.isAsserted
      if wasAsserted { state.set(source, false, &before) }
      source.notifier = notifier
      source.line.bound.removeAll { $0 === source }
      if notifier != nil { source.line.bound.append(source) }
      if wasAsserted { state.set(source, true, &after) }
      before.controllers = state.controllers
      after.controllers = state.controllers
    }
    perform(before)
    perform(after)
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
    if level { line.hasRisenSinceEnd = true }
    guard source.notifier != nil, controllers.resampling != nil else {
      return change(line, by: level ? 1 : -1, &effects)
    }
    if level {
      if !line.isAsserted { line.counters.raised &+= 1 }
      line.heldByKernel += 1
      effects.held = line.gsi
    } else {
      line.heldByKernel -= 1
      if line.heldByKernel == 0 { effects.withdrawn = line.gsi }
    }
  }

  /// Changes how many sources of a line are asserted by one.
  mutating func change(_ line: GSILine, by step: Int, _ effects: inout InterruptRouter.Effects) {
    let before = line.asserted > 0
    line.asserted += step
    let after = line.asserted > 0
    guard before != after else { return }
    if after { line.counters.raised &+= 1 }
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
      if case .pin(let pin) = route { users[pin]?.removeAll { $0 === line } }
      if line.asserted > 0 { apply(route, of: line, false, &effects) }
    }
    for route in new where !old.contains(route) {
      if case .pin(let pin) = route { users[pin, default: []].append(line) }
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
    case .pin(.ioAPIC(let pin)):
      ioAPIC[pin] += level ? 1 : -1
      ioAPICLevels.set(pin, ioAPIC[pin] > 0)
      effects.refreshesIOAPIC = true
    case .pin(.pic(let pin)):
      pic[pin] += level ? 1 : -1
      picLevels.set(pin, pic[pin] > 0)
      effects.refreshesPIC = true
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
