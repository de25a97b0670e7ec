import ArgumentParser
import Glibc
import HostOS
import Logging
import Machine
import RemoteDevice
import Synchronization
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
  var sandbox = SandboxOption.on

  @Flag(help: "Print each layer of the sandbox, as the host permits it, and end.")
  var dryRun = false

  /// Whom a device is served to.
  private enum Peer: ~Copyable {
    case vhostUser(VhostUserEndpoint, String)
    case vfioUser(VhostUserEndpoint, String)
    case mpqemu(OwnedFileDescriptor, String)
  }

  /// Whether the device is for a front end, and not for a client or a proxy.
  var isForFrontEnd: Bool { vhostUser != nil }

  /// Checks that there is one peer.
  func validate() throws {
    guard [vhostUser, vfioUser, mpqemu].compactMap({ $0 }).count == 1 else {
      throw ValidationError("say for whom: one of --vhost-user, --vfio-user and --mpqemu")
    }
  }

  /// Serves a device until a signal, or the end of the only front end.
  ///
  /// - Parameters:
  ///   - plan: What its process is shut in by, unless the user says otherwise.
  ///   - open: Opens all that the device needs of the host, and starts no thread.
  ///   - make: Makes the device; what is not open by then may be out of reach.
  ///   - lookAgain: Called at each SIGUSR2, on a thread of its own, where it may take its time.
  /// - Throws: ``UserError`` for bad input, `SystemError` if the host fails.
  func serve<Opened, Device: VirtioDevice>(
    _ plan: SandboxPlan,
    open: () throws -> Opened,
    make: (Opened) throws -> Device,
    lookAgain: (@Sendable (Device, Logger) -> Void)? = nil
  ) throws {
    LineLogHandler.install(logLevel)
    // Before any thread: each of them then has these signals blocked.
    let signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP])
    let looks = try SignalQueue([SIGUSR2])
    let opened = try Run.explaining(open)
    var peer = Optional(try makePeer())
    try enterSandbox(plan, forwarding: [signals, looks]) {
      guard let peer = peer.take() else { return }
      let device = try Run.explaining { try make(opened) }
      if let lookAgain {
        try Self.wait(for: looks) { lookAgain(device, Logger(label: "apus")) }
      }
      try Self.serve(device, peer, until: signals.rawValue)
    }
  }

  private static func serve(
    _ device: some VirtioDevice,
    _ peer: consuming Peer,
    until stop: Int32
  ) throws {
    switch consume peer {
    case .vhostUser(let endpoint, let place):
      let server = VhostUserServer(device, logger: Logger(label: "vhost-user"))
      Run.note("\(device.name): serving vhost-user front ends at \(place)")
      ProgramImage.releaseStartupPages()
      try server.run(endpoint, until: stop)
    case .vfioUser(let endpoint, let place):
      let server = try VfioUserServer(device, logger: Logger(label: "vfio-user"))
      Run.note("\(device.name): serving vfio-user clients at \(place)")
      ProgramImage.releaseStartupPages()
      try server.run(endpoint, until: stop)
    case .mpqemu(let socket, let place):
      let server = try MPQEMUServer.make(device, logger: Logger(label: "mpqemu"))
      Run.note("\(device.name): serving a proxy at \(place)")
      ProgramImage.releaseStartupPages()
      try server.run(socket, until: stop)
    }
  }

  /// Calls `body` for each signal, on a thread that lives as long as the process.
  private static func wait(
    for signals: SignalQueue,
    _ body: @escaping @Sendable () -> Void
  ) throws(SystemError) {
    let poller = try Poller()
    try poller.add(signals.rawValue, token: 0)
    let handed = Mutex<Poller?>(poller)
    let thread = try Thread("signals") {
      guard let poller = handed.withLock({ $0.take() }) else { return }
      while (try? poller.wait { _ in }) != nil {
        while signals.next() != nil { body() }
      }
    }
    thread.detach()
  }

  private func makePeer() throws -> Peer {
    if let mpqemu { return .mpqemu(try Self.socket(mpqemu), mpqemu) }
    if let vfioUser { return .vfioUser(try Self.endpoint(vfioUser, "--vfio-user"), vfioUser) }
    let place = vhostUser ?? ""
    return .vhostUser(try Self.endpoint(place, "--vhost-user"), place)
  }

  private static func endpoint(_ place: String, _ option: String) throws -> VhostUserEndpoint {
    do throws(SystemError) {
      guard place.hasPrefix("fd:") else { return try VhostUserEndpoint(path: place) }
      return try VhostUserEndpoint(adopting: descriptor(place))
    } catch {
      let remedy =
        place.hasPrefix("fd:")
        ? "name the number of an open unix stream socket" : "name a path where a socket can be made"
      throw UserError(message: "\(option) \(place): \(error.reason); \(remedy)")
    }
  }

  private static func socket(_ place: String) throws -> OwnedFileDescriptor {
    do throws(SystemError) {
      return try MPQEMUServer.socket(adopting: descriptor(place))
    } catch {
      throw UserError(
        message: "--mpqemu \(place): \(error.reason); "
          + "say fd: and the number of a connected unix stream socket"
      )
    }
  }

  /// The descriptor that `fd:N` names, as one of our own: whoever started this process may hold on to the number.
  private static func descriptor(_ place: String) throws(SystemError) -> OwnedFileDescriptor {
    guard place.hasPrefix("fd:"), let number = Int32(place.dropFirst(3)), number > STDERR_FILENO
    else { throw SystemError(call: "", code: EBADF) }
    return try OwnedFileDescriptor(duplicating: number)
  }
}
