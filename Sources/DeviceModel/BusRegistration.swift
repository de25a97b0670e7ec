/// What a ``Bus`` knows a registered device by; the ticket to move or remove it.
public struct BusRegistration: Hashable, Sendable {
  /// The device's name, as it stands in errors and in the printed memory map.
  public let name: String
  /// Unique in the process, never used again.
  let id: UInt64

  init(name: String, id: UInt64) {
    self.name = name
    self.id = id
  }
}
