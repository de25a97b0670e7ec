import Glibc
public import HostOS
public import Logging
import RemoteDevice
import Synchronization
public import Virtio

/// Serves one device to another process, shut in as far as the user wants: what a device's process does.
public struct DeviceServer: Sendable {
  /// What log lines begin with.
  public var program: String
  /// Whom the device is for.
  public var peer: DevicePeer
  /// How far the process is shut in.
  public var sandbox = SandboxMode.on
  /// Whether the layers of the sandbox are printed, and nothing is served.
  public var isDryRun = false
  /// Whether a supervisor reads what the process says: it is told of the sandbox, and knows what is served.
  public var isSupervised = false
  /// What is logged.
  public var logLevel = Logger.Level.warning
  /// Where a virtio device's state is kept for a process that takes over: `fd:N` for a memory file that the process
  /// was started with; for one vfio-user client.
  public var state: String?
  /// What is offered to the driver of a vfio-user client beside the features of a virtio device's type.
  public var features = VirtioFeatures.common

  /// Describes a server.
  public init(program: String, peer: DevicePeer) {
    self.program = program
    self.peer = peer
  }

  /// Serves a device until SIGTERM, SIGINT or SIGHUP, or the end of the only peer.
  ///
  /// To be called once, with no thread started before. In the sandbox the process does not return from here: it ends when
  /// the device's does.
  ///
  /// - Parameters:
  ///   - plan: What the process is shut in by, unless the user says otherwise.
  ///   - open: Opens all that the device needs of the host, and starts no thread.
  ///   - make: Makes the device; what is not open by then may be out of reach.
  /// - Throws: ``UserError`` for bad input, `SystemError` if the host fails, or what `open` and `make` throw.
  public func serve<Opened>(
    _ plan: SandboxPlan,
    open: () throws -> Opened,
    make: (Opened) throws -> ServedDevice
  ) throws {
    LineLogHandler.install(logLevel, program: program)
    // Before any thread: each of them then has these signals blocked.
    let signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP])
    let looks = try SignalQueue([SIGUSR2])
    let reports = try SignalQueue([SIGUSR1])
    let opened = try open()
    var door = Optional(try peer.open())
    let file = try openState()
    try enterSandbox(plan, forwarding: [signals, looks, reports]) {
      guard let door = door.take() else { return }
      let device = try make(opened)
      if let lookAgain = device.lookAgain {
        try Self.wait(for: looks) { lookAgain(Logger(label: program)) }
      }
      if isSupervised, let report = device.report {
        try Self.wait(for: reports) { [program] in
          ProgramReport(program).note("report: device:\(report())")
        }
      }
      try serve(device, door, state: file.borrow { try Self.map($0) }, until: signals.rawValue)
    }
  }

  private func serve(
    _ device: ServedDevice,
    _ door: consuming DevicePeer.Door,
    state: VirtioStateFile?,
    until stop: Int32
  ) throws {
    switch consume door {
    case .vhostUser(let endpoint):
      guard case .virtio(let virtio) = device.kind else {
        throw UserError(
          message: "--vhost-user \(peer.place): \(device.name) is no virtio device; say --vfio-user"
        )
      }
      let server = VhostUserServer(virtio, logger: Logger(label: "vhost-user"))
      begin(device, "vhost-user front ends")
      try server.run(endpoint, until: stop)
    case .vfioUser(let endpoint):
      let logger = Logger(label: "vfio-user")
      let server =
        switch device.kind {
        case .virtio(let virtio):
          try VfioUserServer(virtio, features: features, state: state, logger: logger)
        case .model(let model): try VfioUserServer(model, logger: logger)
        }
      begin(device, "vfio-user clients")
      try server.run(endpoint, until: stop)
    case .mpqemu(let socket):
      let logger = Logger(label: "mpqemu")
      let server =
        switch device.kind {
        case .virtio(let virtio): try MPQEMUServer.make(virtio, logger: logger)
        case .model(let model): try MPQEMUServer.make(model, logger: logger)
        }
      begin(device, "a proxy")
      try server.run(socket, until: stop)
    }
  }

  private func begin(_ device: ServedDevice, _ whom: String) {
    if !isSupervised {
      ProgramReport(program).note("\(device.name): serving \(whom) at \(peer.place)")
    }
    ProgramImage.releaseStartupPages()
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
}
