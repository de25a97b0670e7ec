/// Bad input: shown as it is, with the exit code for bad input.
public struct UserError: Error, Equatable {
  /// The thing, the value and the remedy, in one line.
  public let message: String

  /// Says what is wrong.
  public init(message: String) { self.message = message }
}
