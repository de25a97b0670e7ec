/// Bindings by eventfd, and which of them a call is just making or taking off.
///
/// What one call has begun, no other touches before it is done: one that is being made or taken off is in
/// the way of another, and nobody finds it.
struct BindingTable<Value: Sendable>: Sendable {
  private var bindings: [EventFDIdentity: (value: Value, isChanging: Bool)] = [:]

  /// All of them.
  var values: [Value] { bindings.values.map(\.value) }

  /// The binding of an eventfd, unless a call is at it.
  subscript(identity: EventFDIdentity) -> Value? {
    guard let binding = bindings[identity], !binding.isChanging else { return nil }
    return binding.value
  }

  /// Puts in what is being made; `false` if there is one.
  mutating func begin(_ identity: EventFDIdentity, _ value: Value) -> Bool {
    guard bindings[identity] == nil else { return false }
    bindings[identity] = (value, true)
    return true
  }

  /// Says that what was begun is made.
  mutating func commit(_ identity: EventFDIdentity) { bindings[identity]?.isChanging = false }

  /// Finds a binding that is now being taken off, if `isRight`.
  mutating func beginRemoval(
    _ identity: EventFDIdentity,
    where isRight: (Value) -> Bool
  ) -> Value? {
    guard let value = self[identity], isRight(value) else { return nil }
    bindings[identity]?.isChanging = true
    return value
  }

  /// Forgets what was being made or taken off; the caller still holds it.
  mutating func remove(_ identity: EventFDIdentity) { bindings[identity] = nil }
}
