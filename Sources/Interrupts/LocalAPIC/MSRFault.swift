/// An access to a model-specific register that the processor answers with #GP(0).
public struct MSRFault: Error, Equatable, Sendable {
  /// The register.
  public let index: UInt32

  /// Names the register.
  public init(_ index: UInt32) { self.index = index }
}
