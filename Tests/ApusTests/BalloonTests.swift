import Glibc
import Testing

/// Debian's kernel and a balloon.
@Suite(.serialized, .needsDebian) struct BalloonTests {
  @Test(arguments: [[], ["--no-packed-rings", "--transport", "mmio"]])
  func memoryGoesToTheHostAndBack(options: [String]) async throws {
    let boot = GuestBoot(
      tasks: "apus.test=balloon,quiet,idle",
      options: options + ["--balloon", "size=64M"]
    )

    let ended = try await Program.drive(try boot.arguments()) { program in
      try program.expect("ok idle")
      // What is free is reported some seconds after it was freed: it is asked for again and again.
      var asked = 0
      try program.wait(for: "free pages to come back") {
        let answers = Self.answers(program.standardError)
        if answers.count == asked {
          asked += 1
          program.signal(SIGUSR1)
        }
        return answers.last.map { $0.bytes > 96 << 20 && $0.line.contains(" in caches") } ?? false
      }
      program.signal(SIGTERM)
      program.signal(SIGTERM)
      return try program.finish(within: 60)
    }

    #expect(ended.failures == [], "\(ended)")
    #expect(ended.reports.contains("ok balloon-given 65536"), "\(ended)")
    #expect(ended.reports.contains { $0.hasPrefix("ok balloon-returned ") }, "\(ended)")
    let line = try #require(Self.answers(ended.errors).last).line
    #expect(line.contains("64M wanted, ") && line.contains(" total, "), "\(line)")
    #expect(line.contains(" free, "), "\(line)")
  }

  /// The lines about the balloon that are whole, and how much each says that was given back in all:
  /// `balloon0: 64M wanted, 63488K given, 161M given back to the host in all; guest: …`.
  private static func answers(_ text: String) -> [(line: String, bytes: UInt64)] {
    text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard words.first == "balloon0:", let place = words.firstIndex(of: "back"),
        let bytes = bytes(words[place - 2])
      else { return nil }
      return (String(line), bytes)
    }
  }

  private static func bytes(_ text: String) -> UInt64? {
    let shifts: [Character: UInt64] = ["K": 10, "M": 20, "G": 30]
    guard let last = text.last else { return nil }
    guard let shift = shifts[last] else { return UInt64(text) }
    return UInt64(text.dropLast()).map { $0 << shift }
  }
}
