import HostOS
import Logging
import Synchronization
import Virtio

/// The link's thread: what comes unasked, and the next back end.
extension VhostUserLink {
  /// Has ``run()`` return.
  func finish() {
    isStopping.store(true, ordering: .releasing)
    wake.signal()
  }

  /// Waits for what comes unasked, and for other back ends, until ``finish()``.
  func run() {
    while true {
      let (numbers, timeout) = state.withLock { state in (watched(state), wait(state)) }
      var list = PollList()
      for number in numbers {
        _ = list.add(number, for: .readable)
      }
      // Only while nobody is there: a process that is to come next must not wake us before this one has gone.
      let place =
        timeout.isAlone ? description.source.ready.map { list.add($0, for: .readable) } : nil
      list.wait(timeout: timeout.milliseconds)
      let isReady = place.map { list.isReady($0) } ?? false
      if isStopping.load(ordering: .acquiring) { return }
      wake.drain()
      let isAlone = state.withLock { state in
        var effects: [Effect] = []
        let broken = errors.indices.filter { errors[$0].drain() > 0 }
        if let index = broken.first, let active = state.active {
          let reason = "ring \(index): the back end finds that its driver broke it"
          effects.append(.needsReset(active.activation.signals, reason))
        }
        listen(&state, &effects)
        if areCallsOld.exchange(false, ordering: .acquiring) { changeCalls(&state, &effects) }
        // With the lock, which a reset takes: nothing of this is to meet the device after that.
        perform(effects)
        return state.session == nil
          && (isReady || state.retryAt <= MonotonicClock.nanoseconds)
      }
      // Nobody else makes a connection, so that vCPUs need not wait for the greeting.
      if isAlone { findAnother() }
    }
  }

  /// What to wait for: a back end that keeps signalling broken rings is heard once.
  private func watched(_ state: borrowing State) -> [Int32] {
    let numbers = state.session.borrow { $0.numbers } ?? []
    let isBroken = state.active?.activation.signals.status.contains(.needsReset) ?? true
    return numbers + (isBroken ? [] : errors.map(\.rawValue)) + [wake.rawValue]
  }

  /// Whether nobody is there, and how long to wait, in milliseconds: for ever while a back end is there and
  /// has changed nothing, and where we are told of the next.
  private func wait(_ state: borrowing State) -> (isAlone: Bool, milliseconds: Int32?) {
    let isAlone = state.session.borrow({ _ in true }) != true
    let end: UInt64
    if isAlone {
      guard description.source.ready == nil else { return (true, nil) }
      end = state.retryAt
    } else if state.isChanged {
      end = state.refreshAt
    } else {
      return (false, nil)
    }
    let now = MonotonicClock.nanoseconds
    return (isAlone, end > now ? Int32(clamping: (end - now) / 1_000_000 + 1) : 0)
  }

  private func listen(_ state: inout State, _ effects: inout [Effect]) {
    guard state.session != nil else { return }
    do throws(VhostUserBackEndError) {
      if try state.session?.listen() == true { state.isChanged = true }
      let now = MonotonicClock.nanoseconds
      guard state.isChanged, now >= state.refreshAt else { return }
      state.isChanged = false
      state.refreshAt = now &+ Self.refreshPause
      try refresh(&state, &effects)
    } catch {
      lose(&state, error)
    }
  }

  /// Has the back end interrupt the guest in the way that its driver has chosen by now.
  private func changeCalls(_ state: inout State, _ effects: inout [Effect]) {
    guard state.session != nil, let active = state.active else { return }
    let wanted = currentCalls(active)
    do throws(VhostUserBackEndError) {
      for index in 0..<description.queues.served where wanted[index] !== state.calls[index] {
        try state.session?.setCall(wanted[index], of: index)
      }
    } catch {
      lose(&state, error)
    }
    state.calls = wanted
    // What came in between went the old way, perhaps to nobody.
    effects.append(.signalAll)
  }

  /// Connects to who listens now, if anybody does, and has it take over.
  private func findAnother() {
    var found: VhostUserBackEndSession?
    var failure: VhostUserBackEndError?
    do throws(VhostUserBackEndError) { found = try greet() } catch { failure = error }
    state.withLock { state in
      var effects: [Effect] = []
      if let failure {
        giveUp(&state, failure, &effects)
      } else if let session = found.take() {
        state.session = consume session
        takeOver(&state, &effects)
      } else {
        state.retryAt = MonotonicClock.nanoseconds &+ Self.retry
        abandon(&state, &effects)
      }
      perform(effects)
    }
  }

  /// Tells the driver when nobody will ever serve the device again.
  private func abandon(_ state: inout State, _ effects: inout [Effect]) {
    guard let active = state.active, let reason = description.source.failure else { return }
    state.active = nil
    effects.append(.needsReset(active.activation.signals, reason))
  }

  /// A back end that can do what the device needs; `nil` if nobody listens.
  private func greet() throws(VhostUserBackEndError) -> VhostUserBackEndSession? {
    guard let socket = try? description.source.connect() else { return nil }
    let session = try VhostUserBackEndSession(
      socket,
      kind: description.kind,
      patience: description.patience,
      tap: description.recorder?.makeTap(description.name, .vhostUser)
    )
    let missing = description.features.subtracting(session.agreement.features)
    guard missing.isEmpty else {
      throw .lacks("the features 0x\(String(missing.rawValue, radix: 16)), as the one before it")
    }
    if let count = session.agreement.queueCount, count < description.queues.served {
      throw .lacks("\(description.queues.served) queues, only \(count)")
    }
    return session
  }

  /// Has a new back end go on where the last one stood, all of it within the patience for one thing.
  private func takeOver(_ state: inout State, _ effects: inout [Effect]) {
    do throws(VhostUserBackEndError) {
      state.session?.together(true)
      for (offset, byte) in state.written.sorted(by: { $0.key < $1.key }) {
        if try !pass([byte], at: offset, &state) { state.written[offset] = nil }
      }
      try refresh(&state, &effects)
      try start(&state)
      state.session?.together(false)
      effects.append(.signalAll)
      setLink(isUp: true, state)
      state.isMissed = false
      description.source.settle()
      logger.notice("\(description.name): another back end serves the device")
    } catch {
      giveUp(&state, error, &effects)
    }
  }

  private func giveUp(
    _ state: inout State,
    _ error: VhostUserBackEndError,
    _ effects: inout [Effect]
  ) {
    lose(&state, error)
    guard !error.isPassing, let active = state.active else { return }
    // It may never find one that can go on where the last one stood.
    state.active = nil
    effects.append(
      .needsReset(active.activation.signals, "the new back end is no good: \(error)")
    )
  }

  /// Shows the guest of a network interface whether there is anybody at the other end (5.1.4).
  func setLink(isUp: Bool, _ state: borrowing State) {
    guard description.kind == .network else { return }
    let hasChanged = configuration.withLock { configuration in
      let value: UInt8 = isUp ? 1 : 0
      defer { configuration[6] = value }
      return configuration[6] != value
    }
    guard hasChanged, let active = state.active else { return }
    active.activation.signals.configurationChanged()
  }
}
