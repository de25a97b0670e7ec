/// What a device of an author's has of the world: the same in the VMM and in a process of its own.
public struct DeviceHost: Sendable {
  /// The guest's memory.
  public let memory: any DeviceMemory
  /// The guest's attention.
  public let interrupts: any DeviceInterrupts
  private let write: @Sendable (String) -> Void

  /// Puts it together.
  ///
  /// - Parameters:
  ///   - memory: The guest's memory.
  ///   - interrupts: The guest's attention.
  ///   - report: Where ``report(_:)`` leads; from any thread.
  public init(
    memory: any DeviceMemory,
    interrupts: any DeviceInterrupts,
    report: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.memory = memory
    self.interrupts = interrupts
    write = report
  }

  /// Logs what a driver has done wrong, in a line; so many of them and no more.
  public func report(_ line: String) { write(line) }
}
