import ArgumentParser
import Glibc
import HostOS
import Logging
import Machine
import RemoteDevice
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
  var socket: String

  @Option(
    help: ArgumentHelp(
      "What is logged: trace, debug, info, notice, warning, error or critical.",
      valueName: "level"
    )
  )
  var logLevel = Logger.Level.warning

  /// Serves a device until a signal, or the end of the only front end.
  ///
  /// - Parameter makeDevice: Makes the device.
  /// - Throws: ``UserError`` for bad input, `SystemError` if the host fails.
  func serve(_ makeDevice: () throws -> any VirtioDevice) throws {
    LineLogHandler.install(logLevel)
    // Before any thread: each of them then has these signals blocked.
    let signals = try SignalQueue([SIGTERM, SIGINT, SIGHUP])
    let device = try Run.explaining(makeDevice)
    let server = VhostUserServer(device, logger: Logger(label: "vhost-user"))
    let endpoint = try makeEndpoint()
    Run.note("\(device.name): serving vhost-user front ends at \(socket)")
    ProgramImage.releaseStartupPages()
    try server.run(endpoint, until: signals.rawValue)
  }

  private func makeEndpoint() throws -> VhostUserEndpoint {
    do throws(SystemError) {
      guard socket.hasPrefix("fd:") else { return try VhostUserEndpoint(path: socket) }
      guard let number = Int32(socket.dropFirst(3)), number > STDERR_FILENO else {
        throw SystemError(call: "", code: EBADF)
      }
      // A copy: whoever started this process may hold on to the number.
      return try VhostUserEndpoint(adopting: OwnedFileDescriptor(duplicating: number))
    } catch {
      let remedy =
        socket.hasPrefix("fd:")
        ? "name the number of an open unix stream socket" : "name a path where a socket can be made"
      throw UserError(message: "--vhost-user \(socket): \(error.reason); \(remedy)")
    }
  }
}
