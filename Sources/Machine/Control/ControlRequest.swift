/// What a client of the control socket asks for: one line of text.
///
/// `inspect [--json]`, `replace DEVICE --with PROGRAM`, `replace DEVICE --options TEXT` and `save PATH`, where the last
/// part of the latter is the rest of the line.
public enum ControlRequest: Equatable, Sendable {
  /// To be told of the machine.
  case inspect(isJSON: Bool)
  /// To have another process serve a device.
  case replace(device: String, DeviceChange)
  /// To have the guest saved in a file.
  case save(path: String)

  /// What is different about the process that is to follow.
  public enum DeviceChange: Equatable, Sendable {
    /// The program's file; its arguments stay.
    case program(String)
    /// What the device is, as the option of `apus run` has it; the program stays.
    case options(String)
  }

  /// Reads a line; `nil` if it is no request.
  public init?(_ line: String) {
    let words = line.split(separator: " ", maxSplits: 3).map(String.init)
    switch words.first {
    case "inspect" where words.count == 1: self = .inspect(isJSON: false)
    case "inspect" where words.count == 2 && words[1] == "--json": self = .inspect(isJSON: true)
    case "replace" where words.count == 4 && words[2] == "--with":
      self = .replace(device: words[1], .program(words[3]))
    case "replace" where words.count == 4 && words[2] == "--options":
      self = .replace(device: words[1], .options(words[3]))
    case "save" where words.count > 1:
      self = .save(path: String(line.dropFirst("save ".count)))
    default: return nil
    }
  }

  /// The line that says so, without its end.
  public var line: String {
    switch self {
    case .inspect(let isJSON): isJSON ? "inspect --json" : "inspect"
    case .replace(let device, .program(let path)): "replace \(device) --with \(path)"
    case .replace(let device, .options(let text)): "replace \(device) --options \(text)"
    case .save(let path): "save \(path)"
    }
  }
}
