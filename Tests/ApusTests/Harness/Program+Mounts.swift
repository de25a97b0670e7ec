import Glibc

extension Program {
  /// Runs `apus` where the shell command `change` has mounted something, which nothing else sees.
  static func runWithMounts(_ change: String, _ arguments: [String]) async throws -> Ended {
    let command =
      ["/bin/sh", "-c", "\(change) && exec \"$@\"", "sh", try Given.binary()] + arguments
    return try await onThread {
      try RunningProgram(Given.unshare, Given.privately + command).finish(within: 30)
    }
  }
}

extension Given {
  fileprivate static var unshare: String { "/usr/bin/unshare" }
  fileprivate static var privately: [String] { ["--mount", "--propagation", "private"] }

  /// Whether a private mount namespace can be made, which takes root.
  static var canMount: Bool {
    guard getuid() == 0,
      let program = try? RunningProgram(
        unshare,
        privately + ["mount", "-t", "tmpfs", "none", "/mnt"]
      )
    else { return false }
    return (try? program.finish(within: 10).code) == 0
  }
}
