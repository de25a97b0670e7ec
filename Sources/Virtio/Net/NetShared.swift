import HostOS
import Synchronization

/// What a network device and the threads of its queues have in common.
///
/// Nothing on the way of a frame takes a lock: each thread has its own copy of the filter, and looks
/// whether there is a newer one.
final class NetShared: Sendable {
  /// The bits of the configuration's status (virtio 1.2, 5.1.4).
  private enum Status {
    static var linkUp: UInt16 { 1 }
    static var announce: UInt16 { 2 }
  }

  let counters = NetCounters()
  let backend: any NetBackend
  let pairs: [NetPairSwitch]
  let limits: NetLimits

  private let address: MACAddress
  let state: Mutex<State>
  private let version = Atomic<UInt64>(0)
  private let carries = Atomic(true)

  struct State {
    var filter: NetFilter
    var signals: VirtioSignals?
    var canAnnounce = false
    var isLinkUp = true
    var isConnected = true
    var isAnnouncing = false
    // What a driver has set counts again if the next one is the same with the same features.
    var features: VirtioFeatures?
    var isSuspended = false
    // What the driver has chosen last.
    var offloads: VirtioFeatures = []
    var pairs = 1
    // Filter, pairs and offloads are another device's, which begins with the features that it had.
    var isRestored = false
  }

  init(
    _ backend: any NetBackend,
    address: MACAddress,
    limits: NetLimits
  ) throws(SystemError) {
    self.backend = backend
    self.limits = limits
    self.address = address
    var pairs: [NetPairSwitch] = []
    for index in 0..<backend.queuePairCount {
      pairs.append(try NetPairSwitch(isActive: index == 0))
    }
    self.pairs = pairs
    var state = State(filter: NetFilter(address: address))
    state.isConnected = backend.isConnected
    self.state = Mutex(state)
    carries.store(backend.isConnected, ordering: .relaxed)
  }

  // MARK: Life

  /// The driver is ready.
  func begin(_ activation: VirtioActivation) throws(SystemError) {
    let features = activation.features
    let (isSame, restored) = state.withLock { state -> (Bool, (VirtioFeatures, Int)?) in
      defer {
        state.features = features
        state.isSuspended = false
        state.isRestored = false
      }
      state.signals = activation.signals
      state.canAnnounce = features.contains(.netGuestAnnounce)
      if state.isSuspended {
        if state.isRestored { return (true, (state.offloads, state.pairs)) }
        if state.features == features { return (true, nil) }
        state.filter = NetFilter(address: address)
      }
      if features.contains(.netControlVLAN) { state.filter.vlans = [] }
      return (false, nil)
    }
    if isSame, restored == nil { return }
    version.wrappingAdd(1, ordering: .releasing)
    let offloads = features.intersection(.netGuestOffloads)
    try setGuestOffloads(restored?.0.intersection(offloads) ?? offloads)
    try setActivePairs(restored?.1 ?? 1)
  }

  /// The driver is gone for a while, and will find everything as it was.
  func suspend() { state.withLock { $0.isSuspended = true } }

  /// Back to what a driver finds that begins.
  func end() {
    state.withLock { state in
      state.isSuspended = false
      state.isRestored = false
      state.filter = NetFilter(address: address)
      state.offloads = []
      state.pairs = 1
      state.signals = nil
      state.canAnnounce = false
      state.isAnnouncing = false
    }
    version.wrappingAdd(1, ordering: .releasing)
  }

  // MARK: Configuration

  /// `struct virtio_net_config` up to `mtu` (5.1.4).
  func configuration(mtu: UInt16?) -> ConfigurationBytes {
    let (filter, status) = state.withLock { ($0.filter, Self.status($0)) }
    var bytes = ConfigurationBytes()
    for (index, byte) in filter.address.bytes.enumerated() { bytes.set(byte, at: index) }
    bytes.set(status, at: 6)
    bytes.set(UInt16(pairs.count), at: 8)
    bytes.set(mtu ?? 0, at: 10)
    return bytes
  }

  private static func status(_ state: State) -> UInt16 {
    (state.isLinkUp && state.isConnected ? Status.linkUp : 0)
      | (state.isAnnouncing ? Status.announce : 0)
  }

  // MARK: The link

  /// Whether there is anybody at the other end.
  var isConnected: Bool { state.withLock { $0.isConnected } }

  /// Whether frames go anywhere, for a look without a lock.
  var isLinkUp: Bool { carries.load(ordering: .relaxed) }

  /// What the user wants of the link.
  func setLink(up isUp: Bool) { change { $0.isLinkUp = isUp } }

  /// Whether there is anybody at the other end; a new one has not heard of the guest yet.
  func setConnected(_ isConnected: Bool) {
    change { state in
      if isConnected, !state.isConnected { state.isAnnouncing = state.canAnnounce }
      state.isConnected = isConnected
    }
  }

  /// Asks the driver to announce the guest to the network (5.1.6.5.4).
  func announce() { change { $0.isAnnouncing = $0.canAnnounce } }

  /// The driver has announced the guest.
  func acknowledgeAnnouncement() -> Bool {
    state.withLock { state in
      defer { state.isAnnouncing = false }
      return state.isAnnouncing
    }
  }

  private func change(_ body: (inout State) -> Void) {
    let signals: VirtioSignals? = state.withLock { state in
      let before = Self.status(state)
      body(&state)
      carries.store(state.isLinkUp && state.isConnected, ordering: .relaxed)
      return Self.status(state) == before ? nil : state.signals
    }
    signals?.configurationChanged()
  }

  // MARK: The filter

  /// Brings `filter` up to date, if it is older than what `known` says.
  func update(_ filter: inout NetFilter, known: inout UInt64) {
    let newest = version.load(ordering: .acquiring)
    guard newest != known else { return }
    known = newest
    filter = state.withLock { $0.filter }
  }

  /// The filter as it is now.
  var filter: NetFilter { state.withLock { $0.filter } }

  /// Changes the filter; frames that are received after this are held against the new one.
  func changeFilter(_ body: (inout NetFilter) -> Void) {
    state.withLock { body(&$0.filter) }
    version.wrappingAdd(1, ordering: .releasing)
  }

  // MARK: Pairs

  /// Has frames come to the first `count` pairs of queues only (5.1.6.5.5).
  func setActivePairs(_ count: Int) throws(SystemError) {
    for pair in pairs.dropFirst(count) { pair.isActive = false }
    try backend.setActivePairs(count)
    for pair in pairs.prefix(count) { pair.isActive = true }
    state.withLock { $0.pairs = count }
  }

  /// Chooses what the guest takes (5.1.6.5.6).
  func setGuestOffloads(_ features: VirtioFeatures) throws(SystemError) {
    try backend.setGuestOffloads(features)
    state.withLock { $0.offloads = features }
  }
}

/// Whether a pair of queues takes part in the traffic.
final class NetPairSwitch: Sendable {
  private let state: Atomic<Bool>
  private let wake: EventFD

  init(isActive: Bool) throws(SystemError) {
    state = Atomic(isActive)
    wake = try EventFD()
  }

  /// Readable after the pair was switched on.
  var descriptor: Int32 { wake.rawValue }

  var isActive: Bool {
    get { state.load(ordering: .acquiring) }
    set {
      state.store(newValue, ordering: .releasing)
      if newValue { wake.signal() }
    }
  }

  /// Whether the pair is off, and the descriptor becomes readable once it is on.
  func isOffForNow() -> Bool {
    guard !isActive else { return false }
    wake.drain()
    // It may have been switched on before the signal was taken.
    return !isActive
  }
}
