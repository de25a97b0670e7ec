/// An extended control register and its value (api.rst, 4.44).
public struct ExtendedControlRegister: Hashable, Sendable {
  /// The register's number, as in ECX for `XSETBV`.
  public var index: UInt32
  /// Its value.
  public var value: UInt64

  /// Pairs a register with a value.
  public init(index: UInt32, value: UInt64) {
    self.index = index
    self.value = value
  }
}
