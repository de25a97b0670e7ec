public import DeviceModel
public import GuestMemory
public import Logging

/// What a PCI function is wired to that lives in a process of its own.
public struct HostedWiring: Sendable {
  /// The guest's RAM at the moment: none, until a peer brings it.
  ///
  /// For a function that is a ``GuestMemoryUser``; others use ``dma``.
  public let memory: GuestMemory
  /// The guest's memory by reads and writes, whatever becomes of it.
  public let dma: DMAHandle
  /// What the function's INTx pin is wired to.
  public let line: any InterruptLine
  /// Where MSI-X vectors come from; `nil` if the peer's protocol has none.
  public let messages: (any MessageInterruptAllocator)?
  /// Where notifications can be caught before they are messages; `nil` if the peer's protocol has no way.
  public let doorbells: (any DoorbellRegistry)?
  /// Where to say what a driver did wrong.
  public let logger: Logger
}

/// A function that holds on to the guest's RAM, and can let go of it while it runs.
public protocol GuestMemoryUser: AnyObject {
  /// Uses `memory` from now on; returns only when nothing of the function touches the memory before.
  ///
  /// One call at a time, on the thread that talks to the peer. What was under way has ended, and nothing was
  /// lost or done twice.
  func replaceMemory(with memory: GuestMemory)
}

/// A function that keeps its state while it works, for the process that takes over when this one dies.
public protocol StateKeepingFunction: AnyObject {
  /// Whether it does so now.
  var keepsState: Bool { get }
  /// Keeps the state once more, after something else than the driver has changed it.
  func noteState()
  /// Leaves the state as it is now to whoever takes over; the function stands still from then on.
  func leaveState()
}
