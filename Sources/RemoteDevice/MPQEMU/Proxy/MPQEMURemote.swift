/// Which process is a device's other end, and how it is talked to.
public struct MPQEMURemote: Hashable, Sendable {
  /// Where the process is to be found.
  public enum Endpoint: Hashable, Sendable {
    /// One that listens at this path.
    case socket(String)
    /// One to be started by the shell with this command, which ends with the device.
    ///
    /// `{fd}` stands for the number of the socket that the process gets; in a command without it, the number is
    /// put at the end.
    case command(String)
  }

  /// Where it is.
  public var endpoint: Endpoint
  /// Which form of the protocol it speaks.
  public var generation: MPQEMUGeneration
  /// How long it may take for an answer, in milliseconds.
  public var patience: Int
  /// How long it may take for the first answer, while it starts, in milliseconds.
  public var firstPatience: Int

  /// Describes a process.
  public init(
    _ endpoint: Endpoint,
    generation: MPQEMUGeneration = .current,
    patience: Int = 5000,
    firstPatience: Int = 30_000
  ) {
    self.endpoint = endpoint
    self.generation = generation
    self.patience = patience
    self.firstPatience = firstPatience
  }

  /// The descriptor number that a process of ours gets.
  static var descriptor: Int { 3 }

  /// The command with the number in it.
  static func command(_ text: String) -> String {
    let parts = text.split(separator: "{fd}", omittingEmptySubsequences: false)
    guard parts.count > 1 else { return text + "\(descriptor)" }
    return parts.joined(separator: "\(descriptor)")
  }
}
