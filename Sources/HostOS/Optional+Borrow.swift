extension Optional where Wrapped: ~Copyable {
  /// Looks at the value, if there is one, and leaves it where it is.
  public borrowing func borrow<Value: ~Copyable, Failure: Error>(
    _ body: (borrowing Wrapped) throws(Failure) -> Value
  ) throws(Failure) -> Value? {
    switch self {
    case .some(let value): try body(value)
    case .none: nil
    }
  }
}
