/// What another process serves, for one board after the other.
public protocol RemoteFunctionMaker: Sendable {
  /// The device's name.
  var name: String { get }
  /// Makes the function of a board; the one before it was stopped.
  func makeFunction(_ wiring: RemoteWiring) throws -> any RemotePCIFunction
}
