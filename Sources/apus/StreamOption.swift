import ArgumentParser
import Machine

/// `stdio`, `none`, `file:F`, `pipe:F` or `unix:F`.
struct StreamOption: ExpressibleByArgument {
  let stream: MachineConfiguration.Stream

  init(_ stream: MachineConfiguration.Stream) { self.stream = stream }

  init?(argument: String) {
    let pair = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    switch (pair[0], pair.count > 1 ? pair[1] : nil) {
    case ("stdio", nil): stream = .standard
    case ("none", nil): stream = .none
    case ("file", let path?) where !path.isEmpty: stream = .file(path)
    case ("pipe", let path?) where !path.isEmpty: stream = .pipe(path)
    case ("unix", let path?) where !path.isEmpty: stream = .unix(path)
    default: return nil
    }
  }

  var defaultValueDescription: String { stream == .standard ? "stdio" : "none" }
}
