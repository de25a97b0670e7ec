public import DeviceModel
public import GuestMemory

/// What a board has for a PCI function of another process.
public struct RemoteWiring: Sendable {
  /// The guest's memory.
  public var memory: GuestMemory
  /// Where the function's pin leads.
  public var line: any ResampledLine
  /// Where its message-signalled interrupts come from.
  public var messages: any MessageInterruptAllocator
  /// Where its doorbells are hung up.
  public var doorbells: any DoorbellRegistry
  /// Who lets the guest reach memory of the function's by itself; `nil` if nobody does.
  public var mapper: (any MemoryMapper)?

  /// Puts it together.
  public init(
    memory: GuestMemory,
    line: any ResampledLine,
    messages: any MessageInterruptAllocator,
    doorbells: any DoorbellRegistry,
    mapper: (any MemoryMapper)? = nil
  ) {
    self.memory = memory
    self.line = line
    self.messages = messages
    self.doorbells = doorbells
    self.mapper = mapper
  }
}
