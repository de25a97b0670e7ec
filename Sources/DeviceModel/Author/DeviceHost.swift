/// What a device of an author's has of the world: the same in the VMM and in a process of its own.
public struct DeviceHost: Sendable {
  /// The guest's memory.
  public let memory: any DeviceMemory
  /// The guest's attention.
  public let interrupts: any DeviceInterrupts
  private let regions: [Int: any DeviceRegionMemory]
  private let write: @Sendable (String) -> Void

  /// Puts it together.
  ///
  /// - Parameters:
  ///   - memory: The guest's memory.
  ///   - interrupts: The guest's attention.
  ///   - regions: The memory that regions have, by their numbers.
  ///   - report: Where ``report(_:)`` leads; from any thread.
  public init(
    memory: any DeviceMemory,
    interrupts: any DeviceInterrupts,
    regions: [Int: any DeviceRegionMemory] = [:],
    report: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.memory = memory
    self.interrupts = interrupts
    self.regions = regions
    write = report
  }

  /// The memory of a region, which its profile says that it has.
  public func memory(ofRegion number: Int) -> any DeviceRegionMemory {
    guard let memory = regions[number] else {
      preconditionFailure("region \(number) has no memory")
    }
    return memory
  }

  /// Logs what a driver has done wrong, in a line; so many of them and no more.
  public func report(_ line: String) { write(line) }
}
