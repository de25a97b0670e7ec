import HostOS
import Logging
import Synchronization
import Virtio

/// A device's way to its back end, whichever process that is at the time.
///
/// What the driver asks for is done on the vCPU's thread, under the lock, and each thing takes a back end's patience at
/// most. A thread of the link waits for what comes unasked, for the end of the connection, and for another back end
/// to listen. Requests of the guest wait in its rings meanwhile.
final class VhostUserLink: Sendable {
  /// What there is to know about the device.
  struct Description: Sendable {
    let kind: VhostUserKind
    let source: any ConnectionSource
    let name: String
    /// How many queues the guest finds, and how many of them are the back end's.
    let queues: (count: Int, served: Int)
    /// What the guest was offered of the back end's features; each back end must have them.
    let features: VirtioFeatures
    /// How long a back end may take for one thing, in seconds.
    let patience: Int
    /// Where messages are recorded, if they are.
    let recorder: MessageRecorder?
  }

  /// What a driver has set up.
  struct Active {
    let activation: VirtioActivation
    /// Whether a back end has served it.
    var wasServed = false
  }

  struct State: ~Copyable {
    var session: VhostUserBackEndSession?
    var active: Active?
    var inflight: VhostUserInflightFile?
    /// What the driver has written to the configuration since the last reset, by offset.
    var written: [Int: UInt8] = [:]
    /// When to look for another back end, on the monotonic clock.
    var retryAt: UInt64 = 0
    /// Whether the back end says that its configuration is another, and when that is read at the soonest.
    var isChanged = false
    var refreshAt: UInt64 = 0
    /// The eventfds that the back end interrupts the guest with, by queue.
    var calls: [EventFD] = []
    /// Whether the log says already that nobody is there.
    var isMissed = false
  }

  /// What is to be done once the lock is free.
  enum Effect: Sendable {
    case needsReset(VirtioSignals, String)
    case configurationChanged(VirtioSignals)
    case signalAll
  }

  let description: Description
  let calls: VhostUserCalls
  /// Signalled by the back end for a ring that its driver has broken, by ring.
  let errors: [EventFD]
  /// The configuration as the guest reads it.
  let configuration: Mutex<[UInt8]>
  let log: LimitedLog
  let logger: Logger
  // Held while a back end is asked, for as long as its patience lasts. Lock order: this before `configuration`.
  let state: Mutex<State>
  let wake: EventFD
  /// Whether the eventfds that interrupt the guest may have become others.
  let areCallsOld = Atomic(false)
  let isStopping = Atomic(false)

  /// How soon another back end is looked for, in nanoseconds.
  static var retry: UInt64 { 50_000_000 }
  /// The same after one that broke the protocol.
  static var punishment: UInt64 { 1_000_000_000 }
  /// How soon a configuration is read again that the back end changes and changes, in nanoseconds: a vCPU
  /// that writes to it waits meanwhile.
  static var refreshPause: UInt64 { 100_000_000 }

  init(
    _ session: consuming VhostUserBackEndSession,
    _ description: Description,
    configuration: [UInt8],
    logger: Logger
  ) throws(SystemError) {
    self.description = description
    self.logger = logger
    log = LimitedLog(logger, prefix: description.name)
    calls = try VhostUserCalls(count: description.queues.count)
    var errors: [EventFD] = []
    for _ in 0..<description.queues.count { errors.append(try EventFD()) }
    self.errors = errors
    self.configuration = Mutex(configuration)
    wake = try EventFD()
    state = Mutex(State(session: session))
  }

  /// Has the back end serve what the driver has set up, now or as soon as there is one.
  ///
  /// - Throws: ``VhostUserBackEndError`` if this back end never will.
  func activate(_ activation: VirtioActivation) throws(VhostUserBackEndError) {
    calls.begin(activation.signals)
    activation.signals.observeTriggers { [weak self] in
      self?.areCallsOld.store(true, ordering: .releasing)
      self?.wake.signal()
    }
    for error in errors { error.drain() }
    try state.withLock { (state) throws(VhostUserBackEndError) in
      guard state.session != nil else {
        if let reason = description.source.failure { throw .lacks(reason) }
        state.active = Active(activation: activation)
        return
      }
      state.active = Active(activation: activation)
      do throws(VhostUserBackEndError) {
        try start(&state)
      } catch {
        lose(&state, error)
        guard error.isPassing else {
          state.active = nil
          throw error
        }
      }
    }
  }

  /// Has nothing served any more, and forgets what the driver has set up.
  func reset() {
    state.withLock { state in
      state.active?.activation.signals.observeTriggers(nil)
      if state.active != nil, state.session != nil {
        do throws(VhostUserBackEndError) {
          try state.session?.stop()
        } catch {
          lose(&state, error)
        }
      }
      state.active = nil
      state.inflight = nil
      state.written = [:]
    }
    calls.end()
  }

  /// Passes on what the driver writes to the configuration.
  func write(_ bytes: [UInt8], at offset: Int) {
    state.withLock { state in
      if state.session != nil {
        do throws(VhostUserBackEndError) {
          state.session?.together(true)
          guard try pass(bytes, at: offset, &state) else {
            state.session?.together(false)
            return
          }
          // The driver made the change itself.
          var effects: [Effect] = []
          try refresh(&state, &effects)
          state.session?.together(false)
        } catch {
          lose(&state, error)
        }
      }
      guard description.kind.keepsConfiguration else { return }
      for (index, byte) in bytes.enumerated() { state.written[offset + index] = byte }
    }
  }

  /// Writes to the back end's configuration; false if that refuses it, which the log says.
  func pass(
    _ bytes: [UInt8],
    at offset: Int,
    _ state: inout State
  ) throws(VhostUserBackEndError) -> Bool {
    do throws(VhostUserBackEndError) {
      try state.session?.writeConfiguration(bytes, at: offset)
      return true
    } catch {
      guard case .refused(let request, let value) = error else { throw error }
      log.warning("back end refuses \(request) of \(bytes) at \(offset) with \(value)")
      return false
    }
  }

  /// Starts the rings on the current connection.
  func start(_ state: inout State) throws(VhostUserBackEndError) {
    guard let active = state.active else { return }
    let start = VhostUserBackEndSession.Start(
      activation: active.activation,
      count: description.queues.served,
      calls: currentCalls(active),
      errors: errors,
      isTakenOver: active.wasServed,
      completesOutOfOrder: description.kind.completesOutOfOrder
    )
    state.calls = start.calls
    defer {
      if state.session.borrow({ $0.hasBegun }) == true { state.active?.wasServed = true }
    }
    try state.session?.start(start, &state.inflight)
    // What came while nobody was there was perhaps told to the one that is gone.
    for queue in active.activation.queues.prefix(description.queues.served) {
      // The back end has the eventfd too, and may have filled it.
      if let kick = queue?.kick { kick.signalPeer() }
    }
    logger.debug("\(description.name): the back end serves \(description.queues.served) rings")
  }

  /// What the back end is to interrupt the guest with, by queue: a vector of the guest's where it has one,
  /// so that we have nothing to do with it; else an eventfd that a thread of ours waits for.
  func currentCalls(_ active: Active) -> [EventFD] {
    calls.events.indices.map {
      active.activation.signals.trigger(ofQueue: $0) ?? calls.events[$0]
    }
  }

  /// Reads the configuration again, and remembers what the guest is to be told.
  func refresh(
    _ state: inout State,
    _ effects: inout [Effect]
  ) throws(VhostUserBackEndError) {
    guard let bytes = try state.session?.readConfiguration(), !bytes.isEmpty else { return }
    let hasChanged = configuration.withLock { configuration in
      let before = configuration
      for (index, byte) in description.fixed(bytes).enumerated() { configuration[index] = byte }
      return configuration != before
    }
    guard hasChanged, let active = state.active else { return }
    effects.append(.configurationChanged(active.activation.signals))
  }

  /// Gives up the connection; another back end is looked for.
  func lose(_ state: inout State, _ error: VhostUserBackEndError) {
    let breach = error.isBreach
    if breach { description.source.reject("\(error)") } else { description.source.abandon() }
    state.session = nil
    state.isChanged = false
    setLink(isUp: false, state)
    state.retryAt = MonotonicClock.nanoseconds &+ (breach ? Self.punishment : Self.retry)
    if breach {
      log.warning(
        "back end cut off: \(error); requests wait for another at \(description.source.place)"
      )
    } else if !state.isMissed {
      log.warning(
        "back end gone: \(error); requests wait for another at \(description.source.place)"
      )
    }
    state.isMissed = true
    wake.signal()
  }

  func perform(_ effects: [Effect]) {
    for effect in effects {
      switch effect {
      case .needsReset(let signals, let reason): signals.needsReset(reason)
      case .configurationChanged(let signals): signals.configurationChanged()
      case .signalAll: calls.signalAll()
      }
    }
  }
}

extension VhostUserLink.Description {
  /// The back end's part of the configuration as the guest is to read it.
  func fixed(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    // 5.2.4: `num_queues` is what the guest finds, of what the back end has.
    if kind == .block, bytes.count >= 36 {
      bytes[34] = UInt8(truncatingIfNeeded: queues.count)
      bytes[35] = UInt8(truncatingIfNeeded: queues.count >> 8)
    }
    return bytes
  }
}
