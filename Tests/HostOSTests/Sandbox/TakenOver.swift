import Glibc
import HostOS
import Testing

/// Runs of the program that shuts itself in and then tries to get out.
enum TakenOver {
  /// How it ended, with all that it said.
  struct Ended {
    let ending: ChildProcess.Ending
    let output: String
  }

  /// The program, beside the tests' own.
  static func path() throws -> String {
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
    let folder = bundle.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    let path = folder.joined(separator: "/") + "/TakenOver"
    try #require(access(path, X_OK) == 0, "no \(path)")
    return path
  }

  /// Has a process of a kind try something; on a thread of its own, since a child lives as long as the thread that started it.
  static func run(
    _ kind: SandboxKind,
    _ attempt: String,
    unfiltered: Bool = false
  ) throws -> Ended {
    var pair = try SocketPair()
    var child = try ChildProcess(
      try path(),
      ["TakenOver", kind.rawValue, attempt, "\(getpid())"] + (unfiltered ? ["unfiltered"] : []),
      environment: [],
      descriptors: [0, pair.far.rawValue, pair.far.rawValue]
    )
    pair.far = try pair.near.duplicated()
    var output: [UInt8] = []
    while true {
      var list = PollList()
      let ending = list.add(child.pollable, for: .readable)
      let place = list.add(pair.near.rawValue, for: .readable)
      list.wait(timeout: 60_000)
      if list.isReady(place) { output += try FileIO.read(pair.near.rawValue, atMost: 4096) ?? [] }
      if list.isReady(ending), !list.isReady(place) || list.hasHungUp(place) { break }
      try #require(list.isReady(ending) || list.isReady(place), "\(attempt) takes too long")
    }
    return Ended(ending: child.wait(), output: String(decoding: output, as: UTF8.self))
  }
}
