public import DeviceModel
import Glibc
public import HostOS
import Logging
import Machine

/// The program of a device's author, whole: ``run(_:sandbox:arguments:)`` is all that its `main.swift` calls.
///
/// The same program runs a guest that has the device, serves the device to a vfio-user client, and to a proxy of the multi-process
/// protocol, as its arguments say; `--help` lists them.
public enum DeviceMain {
  /// Runs a guest with a device of `model`, or serves one, and ends the process.
  ///
  /// To be called once, with no thread started before.
  ///
  /// - Parameters:
  ///   - model: The device.
  ///   - kind: What the device does with the host beside its memory: nothing, if not given. It decides which system calls are left to
  ///     a process that serves the device.
  ///   - arguments: The program's name and arguments.
  public static func run(
    _ model: PCIDeviceModel,
    sandbox kind: SandboxKind = .memory,
    arguments: [String] = CommandLine.arguments
  ) -> Never {
    StandardStreams.fillGaps()
    // A peer that goes away is an error to handle, not a signal to die of.
    _ = signal(SIGPIPE, SIG_IGN)
    Signals.block([SIGUSR1, SIGUSR2])
    exit(perform(model, kind, arguments))
  }

  private static func perform(
    _ model: PCIDeviceModel,
    _ kind: SandboxKind,
    _ arguments: [String]
  ) -> Int32 {
    let path = arguments.first ?? model.profile.name
    let program = String(path.split(separator: "/").last ?? "device")
    let report = ProgramReport(program)
    do {
      switch try DeviceArguments(Array(arguments.dropFirst()), program: program) {
      case .help(let text):
        try FileIO.writeAll(STDOUT_FILENO, Array(text.utf8))
        return 0
      case .run(let options):
        return try run(model, options, report)
      case .serve(let server):
        let plan = SandboxPlan(kind, device: model.profile.name)
        try server.serve(plan) {
        } make: {
          .model(model)
        }
        return 0
      }
    } catch {
      return report.failure(error)
    }
  }

  private static func run(
    _ model: PCIDeviceModel,
    _ options: DeviceArguments.RunOptions,
    _ report: ProgramReport
  ) throws -> Int32 {
    LineLogHandler.install(options.logLevel, program: options.program)
    if options.isDryRun {
      let text = try Machine.describe(options.configuration, with: [model])
      try FileIO.writeAll(STDOUT_FILENO, Array(text.utf8))
      return 0
    }
    let outcome = try Machine.run(options.configuration, with: [model])
    if let message = outcome.message { report.note(message) }
    return outcome.exitCode
  }
}
