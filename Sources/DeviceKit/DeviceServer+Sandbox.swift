import Glibc
import HostOS
import Logging

extension DeviceServer {
  /// Does the rest of the process's life in a sandbox, or without one if the user says so.
  ///
  /// - Parameters:
  ///   - plan: What it is shut in by.
  ///   - queues: The signals that the process inside takes.
  ///   - body: What is left to do; in the process inside, which is the only one that does it.
  /// - Throws: What `body` throws where there is no sandbox; ``UserError`` or `SystemError` if there cannot be the one that was
  ///   asked for.
  func enterSandbox(
    _ plan: SandboxPlan,
    forwarding queues: [SignalQueue],
    _ body: () throws -> Void
  ) throws {
    guard sandbox != .off else {
      if isDryRun { return try Self.show(["sandbox: off"]) }
      return try body()
    }
    var plan = plan
    plan.keepsOutput = isDryRun
    switch try Sandbox.split(plan) {
    case .monitor(let monitor): monitor.run(forwarding: queues)
    case .device(let report):
      var code: Int32 = 0
      try Thread.perform("serve") {
        do {
          if isDryRun { try Self.show(report.lines) }
          try check(report, plan.device)
          if !isDryRun { try body() }
        } catch {
          code = ProgramReport(program).failure(error)
        }
      }
      Glibc.exit(code)
    }
  }

  /// Says what is in force; throws if that is not enough.
  private func check(_ report: SandboxReport, _ device: String) throws {
    let logger = Logger(label: "sandbox")
    logger.notice("\(device): \(report.summary)")
    // For whoever has started the process.
    if isSupervised { ProgramReport(program).note("report: sandbox: \(report.summary)") }
    // The wall that the others lean on.
    if report.refused.contains(.systemCalls), let state = report[.systemCalls] {
      throw UserError(
        message: "--sandbox \(sandbox.rawValue): \(SandboxLayer.systemCalls.rawValue): \(state); "
          + "--sandbox off does without any layer"
      )
    }
    guard sandbox == .strict, let layer = report.refused.first, let state = report[layer] else {
      return
    }
    throw UserError(
      message: "--sandbox strict: \(layer.rawValue): \(state); --sandbox on does without"
    )
  }

  private static func show(_ lines: [String]) throws {
    try FileIO.writeAll(STDOUT_FILENO, Array(lines.map { "\($0)\n" }.joined().utf8))
  }
}
