/// What a device's process is shut in by, before anything is tried: a description, and nothing else.
public struct SandboxPlan: Equatable, Sendable {
  /// What messages call the device.
  public var device: String
  /// The namespaces that it gets, of its own.
  public var namespaces: SandboxNamespaces
  /// Whether there is no file under `/`; needs a mount namespace.
  public var hasEmptyRoot: Bool
  /// What Landlock denies.
  public var landlock: LandlockRules
  /// What it may have.
  public var limits: ResourceLimits
  /// The system calls that it may make; `nil` for all.
  public var systemCalls: [SystemCallRule]?
  /// How many rings of io_uring are made for it, since none can be made inside.
  public var ringCount = 0
  /// How many operations each of those does at once.
  public var ringCapacity = 256
  /// The sockets outside that it may connect to, by its monitor.
  public var reachableSockets: [ReachableSocket] = []
  /// Why it does without a layer, for those that it does without.
  public var reasons: [SandboxLayer: String]
  /// Whether standard output stays as it is.
  public var keepsOutput: Bool

  /// What is right for a kind of device, the strictest that it works with.
  ///
  /// - Parameters:
  ///   - kind: What the device does with the host.
  ///   - device: What messages call it.
  ///   - makesUnixSockets: Whether a client connects to unix sockets by itself: any of the host's then, since nothing can tell the
  ///     kernel which.
  public init(_ kind: SandboxKind, device: String, makesUnixSockets: Bool = false) {
    self.device = device
    namespaces = .all
    hasEmptyRoot = true
    landlock = LandlockRules()
    limits = ResourceLimits(descriptors: 4096, threads: 512)
    reasons = [:]
    keepsOutput = false
    var calls = SystemCallRules.process + SystemCallRules.descriptors
    calls += SystemCallRules.connections
    switch kind {
    case .memory: break
    case .balloon: calls += SystemCallRules.discarding
    case .network: calls += SystemCallRules.interfaces
    case .file: calls += SystemCallRules.storage + SystemCallRules.ring
    case .client:
      calls += SystemCallRules.clients(makeUnixSockets: makesUnixSockets)
      let reason = "a lost server is connected to again, at this host's addresses and paths"
      namespaces.remove(.network)
      hasEmptyRoot = false
      landlock = LandlockRules(
        // Below /run, what /etc/resolv.conf may lead to.
        readablePaths: [
          "/etc", "/lib", "/lib64", "/usr", "/run/systemd/resolve", "/run/NetworkManager",
          "/run/resolvconf", "/run/connman", "/dev/null",
        ],
        allowsConnections: true
      )
      reasons = [.network: reason, .root: reason]
    }
    systemCalls = calls
  }

  /// Has the monitor make the only connection that a client makes, to the unix socket at `path`: it then needs nothing else of the
  /// host.
  public mutating func connectOnly(to path: String) {
    let strict = SandboxPlan(.memory, device: device)
    namespaces = strict.namespaces
    hasEmptyRoot = strict.hasEmptyRoot
    landlock = strict.landlock
    reasons = strict.reasons
    reachableSockets = [.path(path)]
  }
}
