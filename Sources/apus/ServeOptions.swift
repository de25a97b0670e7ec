import ArgumentParser
import DeviceKit
import HostOS
import Logging
import Virtio

/// What all of `apus serve` have in common: for whom, and how much is said.
struct ServeOptions: ParsableArguments {
  @Option(
    name: .customLong("vhost-user"),
    help: ArgumentHelp(
      "Where a vhost-user front end is to be found: a path to listen at, or fd:N for a socket that the "
        + "process was started with, listening or connected.",
      valueName: "socket"
    )
  )
  var vhostUser: String?

  @Option(
    name: .customLong("vfio-user"),
    help: ArgumentHelp(
      "Where a vfio-user client is to be found, as above; it gets the device as a PCI function.",
      valueName: "socket"
    )
  )
  var vfioUser: String?

  @Option(
    help: ArgumentHelp(
      "Where the device's state is kept for a process that takes over, and found by it: fd:N for a memory file "
        + "that the process was started with, of at least 4 MiB. With --vfio-user fd:N.",
      valueName: "file"
    )
  )
  var state: String?

  @Flag(
    inversion: .prefixedNo,
    help: "Offer packed virtqueues to a vfio-user client; without them guests use split ones."
  )
  var packedRings = true

  @Option(
    name: .customLong("mpqemu"),
    help: ArgumentHelp(
      "Where a proxy of the multi-process protocol is to be found, such as QEMU's x-pci-proxy-dev: fd:N for "
        + "a connected socket that the process was started with.",
      valueName: "socket"
    )
  )
  var mpqemu: String?

  @Option(
    help: ArgumentHelp(
      "What is logged: trace, debug, info, notice, warning, error or critical.",
      valueName: "level"
    )
  )
  var logLevel = Logger.Level.warning

  @Option(
    help: ArgumentHelp(
      "How far the device's process is shut in: on, as far as the host permits; strict, which ends if the host "
        + "does not permit all of it; off.",
      valueName: "mode"
    )
  )
  var sandbox = SandboxMode.on

  @Flag(help: .hidden)
  var supervised = false

  @Flag(help: "Print each layer of the sandbox, as the host permits it, and end.")
  var dryRun = false

  /// Whether the device is for a front end, and not for a client or a proxy.
  var isForFrontEnd: Bool { vhostUser != nil }

  /// Checks that there is one peer.
  func validate() throws {
    guard [vhostUser, vfioUser, mpqemu].compactMap({ $0 }).count == 1 else {
      throw ValidationError("say for whom: one of --vhost-user, --vfio-user and --mpqemu")
    }
    guard state == nil || vfioUser?.hasPrefix("fd:") == true else {
      throw ValidationError("--state goes with --vfio-user fd:N, the socket of one client")
    }
  }

  /// Serves a device until a signal, or the end of the only front end.
  ///
  /// - Parameters:
  ///   - plan: What its process is shut in by, unless the user says otherwise.
  ///   - open: Opens all that the device needs of the host, and starts no thread.
  ///   - make: Makes the device; what is not open by then may be out of reach.
  ///   - lookAgain: Called at each SIGUSR2, on a thread of its own, where it may take its time.
  ///   - report: Called at each SIGUSR1, for a supervisor; see ``ServedDevice``.
  /// - Throws: ``UserError`` for bad input, `SystemError` if the host fails.
  func serve<Opened, Device: VirtioDevice>(
    _ plan: SandboxPlan,
    open: () throws -> Opened,
    make: (Opened) throws -> Device,
    lookAgain: (@Sendable (Device, Logger) -> Void)? = nil,
    report: (@Sendable (Device) -> String)? = nil
  ) throws {
    var server = DeviceServer(program: "apus", peer: peer)
    server.sandbox = sandbox
    server.isDryRun = dryRun
    server.logLevel = logLevel
    server.isSupervised = supervised
    server.state = state
    if !packedRings { server.features.remove(.packedRing) }
    try server.serve(plan) {
      try Run.explaining(open)
    } make: { (opened: Opened) throws -> ServedDevice in
      let device = try Run.explaining { try make(opened) }
      var look: (@Sendable (Logger) -> Void)?
      if let lookAgain { look = { lookAgain(device, $0) } }
      var tell: (@Sendable () -> String)?
      if let report { tell = { report(device) } }
      return .virtio(device, lookAgain: look, report: tell)
    }
  }

  private var peer: DevicePeer {
    if let mpqemu { return .mpqemu(mpqemu) }
    if let vfioUser { return .vfioUser(vfioUser) }
    return .vhostUser(vhostUser ?? "")
  }
}
