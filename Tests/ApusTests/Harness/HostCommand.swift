import Testing

/// Runs of shell scripts in the emulated host, where there is a KVM for guests.
enum HostCommand {
  /// Runs `script`, of one line, there to its end; `$@` in it are the arguments, and /run/out can be written.
  static func run(
    _ script: String,
    _ arguments: [String],
    within seconds: Int = 200
  ) async throws -> Ended {
    let host = try Given.path("APUS_TEST_IN_EMULATED_HOST")
    let command = ["-t", "\(seconds)", "/bin/sh", "-c", script, "sh"] + arguments
    return try await BootSlots.shared.run {
      try await Program.onThread {
        try RunningProgram(host, command).finish(within: seconds + 20)
      }
    }
  }
}
