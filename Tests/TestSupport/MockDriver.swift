public import GuestMemory
public import Virtio

/// A virtio driver for tests: negotiates, builds queues in guest memory, and makes requests.
///
/// Every wait is bounded and throws ``Failure/timeout`` at the end. Owned by one thread.
public final class MockDriver {
  /// What went otherwise than a test wants it.
  public enum Failure: Error {
    /// The device did not accept the features.
    case featuresRefused
    /// The device did not enable the queue.
    case queueRefused(UInt16)
    /// The device did not do what was waited for.
    case timeout
    /// Guest memory for the driver's use is used up.
    case outOfMemory
  }

  /// The registers.
  public let transport: any MockTransport
  /// Guest RAM.
  public let memory: GuestMemory
  /// The features that were agreed on.
  public private(set) var features: VirtioFeatures = []

  private var free: UInt64

  /// Makes a driver that takes its memory from `start` on.
  public init(
    _ transport: any MockTransport,
    in memory: GuestMemory,
    from start: GuestAddress = GuestAddress(0x1000)
  ) {
    self.transport = transport
    self.memory = memory
    free = start.rawValue
  }

  /// Takes `count` bytes of guest memory.
  public func allocate(_ count: Int, alignment: UInt64 = 16) throws -> GuestAddress {
    let address = GuestAddress((free + alignment - 1) & ~(alignment - 1))
    guard memory.contains(address, count: UInt64(count)) else { throw Failure.outOfMemory }
    free = address.rawValue + UInt64(count)
    return address
  }

  /// Resets the device and agrees on all offered features but those in `without` (3.1.1).
  public func negotiate(without: VirtioFeatures = []) throws {
    transport.status = 0
    transport.status = 1
    transport.status = 3
    features = VirtioFeatures(rawValue: transport.deviceFeatures).subtracting(without)
    transport.acceptFeatures(features.rawValue)
    transport.status = 11
    guard transport.status & 8 != 0 else { throw Failure.featuresRefused }
  }

  /// Builds and enables queue `index`, with as many entries as the device allows if not told.
  public func makeQueue(_ index: UInt16, size: UInt16? = nil) throws -> MockQueue {
    let size = size ?? transport.maximumSize(of: index)
    let count = MockQueue.byteCount(size)
    let base = try allocate(Int(count), alignment: 4096)
    try memory.zero(base, count: count)
    let queue = try MockQueue(
      in: memory,
      at: base,
      size: size,
      eventIndex: features.contains(.eventIndex),
      isPacked: features.contains(.packedRing)
    )
    guard transport.enableQueue(index, queue) else { throw Failure.queueRefused(index) }
    return queue
  }

  /// Says that the driver is ready.
  public func start() { transport.status = 15 }

  /// Kicks queue `index` if the device wants that.
  public func kick(_ index: UInt16, _ queue: MockQueue) throws {
    if try queue.needsKick() { transport.notify(index) }
  }

  /// Offers one chain, waits for it, and returns how many bytes the device says it wrote.
  @discardableResult
  public func request(_ index: UInt16, _ queue: MockQueue, _ buffers: [MockBuffer]) throws -> UInt32
  {
    try queue.add(buffers)
    try kick(index, queue)
    return try waitForUsed(queue).written
  }

  /// Waits for the next chain that the device is done with.
  public func waitForUsed(_ queue: MockQueue) throws -> (head: UInt32, written: UInt32) {
    var used: (head: UInt32, written: UInt32)?
    try wait {
      used = try queue.takeUsed()
      return used != nil
    }
    guard let used else { throw Failure.timeout }
    return used
  }

  /// Waits until `condition` holds, thirty seconds at most.
  public func wait(_ condition: () throws -> Bool) throws {
    guard try waitUntil(condition) else { throw Failure.timeout }
  }
}
