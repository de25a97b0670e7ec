import DeviceModel
import Glibc
import HostOS
import Interrupts
import Logging
import RemoteDevice
import Synchronization

/// What the control socket tells of a machine and does to it, over all restarts of the guest.
///
/// Any thread may call.
final class MachineControl: Sendable {
  /// How long a process may take to take over from another, in nanoseconds.
  private static var patience: UInt64 { 10_000_000_000 }

  private let configuration: MachineConfiguration
  private let isolated: IsolatedDevices?
  private let plane = Mutex<(any MachinePlane)?>(nil)
  /// What the machine's main thread is asked for.
  let saves: SaveRequests

  init(
    _ configuration: MachineConfiguration,
    _ isolated: IsolatedDevices?
  ) throws(SystemError) {
    self.configuration = configuration
    self.isolated = isolated
    saves = try SaveRequests()
  }

  /// What the socket's threads call.
  var handlers: ControlHandlers {
    ControlHandlers(
      inspect: { [self] in report },
      replace: { [self] in replace($0, $1) },
      save: { [self] in save($0) }
    )
  }

  /// Counts the interrupts of `plane` from now on; `nil` for none.
  func follow(_ plane: (any MachinePlane)?) { self.plane.withLock { $0 = plane } }

  private var report: ControlReport {
    let processes = Dictionary(
      (isolated?.processes ?? []).map { ($0.name, $0.process) },
      uniquingKeysWith: { first, _ in first }
    )
    let devices = configuration.deviceNames.map { name, kind in
      var device = ControlReport.Device(name: name, kind: kind)
      guard let process = processes[name] else {
        device.process = getpid()
        return device
      }
      device.isIsolated = true
      device.restarts = process.restartCount
      device.servedSince = process.servedSince
      device.sandbox = process.sandbox
      switch process.phase {
      case .running(let id): device.process = id
      case .starting, .waiting, .ended: device.state = "restarting"
      case .failed(let reason): (device.state, device.reason) = ("failed", reason)
      }
      return device
    }
    let plane = plane.withLock { $0 }
    let lines = plane?.router.report.map { line in
      var counters = line.counters
      for case .pin(let pin) in line.routes { counters += plane?.counters(of: pin) ?? .init() }
      return ControlReport.Line(
        number: line.gsi.rawValue,
        routes: line.routes.map { InterruptReport.text($0) },
        counters: counters
      )
    }
    return ControlReport(devices: devices, lines: lines ?? [])
  }

  /// Finds out what can be before the guest is held.
  private func save(_ path: String) -> String? {
    do throws(MachineError) {
      var asked = configuration
      asked.savePath = path
      try asked.validateSaving()
      try SavedMachine.check(path)
    } catch {
      return "\(error)"
    }
    return saves.save(path)
  }

  private func replace(_ name: String, _ change: ControlRequest.DeviceChange) -> String? {
    guard let process = isolated?.processes.first(where: { $0.name == name })?.process else {
      let names = (isolated?.processes ?? []).map(\.name).joined(separator: ", ")
      return "\(name): no such device has a process of its own; "
        + (names.isEmpty ? "run the machine with --isolate devices" : "there are \(names)")
    }
    var program = process.program
    switch change {
    case .program(let path):
      guard path.hasPrefix("/"), unsafe access(path, X_OK) == 0 else {
        return "\(path): no program can be started from there; name an executable file"
      }
      program.path = path
    case .options(let text):
      // "apus", "serve", the kind, and what the device is.
      guard program.arguments.count > 3,
        ["disk", "net", "vsock", "balloon"].contains(program.arguments[2])
      else {
        return "\(name): it has no options"
      }
      program.arguments[3] = Self.option(
        of: program.arguments[2],
        text,
        instead: program.arguments[3],
        name
      )
    }
    do throws(SystemError) {
      return try process.attempt(program, within: Self.patience).map {
        "\(name): the new process \($0); the one before is started again"
      }
    } catch {
      return "\(name): \(error)"
    }
  }

  /// The option of a device's process that has other options from now on: what the guest knows it by stays, unless the
  /// user names it.
  static func option(
    of kind: String,
    _ text: String,
    instead before: String,
    _ name: String
  ) -> String {
    func address(_ text: String) -> Substring? {
      text.split(separator: ",").last { $0.hasPrefix("mac=") }
    }
    switch kind {
    case "disk": return "\(text),id=\(name)"
    case "net":
      // A process without one makes one up from where it leads to.
      guard address(text) == nil, let address = address(before) else { return text }
      return "\(text),\(address)"
    default: return text
    }
  }
}

extension MachineConfiguration {
  /// The devices by the names that log lines have for them, and what they are.
  fileprivate var deviceNames: [(name: String, kind: String)] {
    var names = disks.enumerated().map { ($1.name ?? "disk\($0)", "disk \($1.path)") }
    names += networks.enumerated().map { ("net\($0)", "network interface \($1.text)") }
    if vsock != nil { names.append(("vsock", "sockets")) }
    if console != .none || !ports.isEmpty { names.append(("console", "console")) }
    if hasEntropy { names.append(("entropy", "entropy source")) }
    if balloon != nil { names.append(("balloon", "memory balloon")) }
    names += remotes.enumerated().map { ("remote\($0)", "remote device \($1.text)") }
    return names
  }
}
