/// Which threads serve the queues of a machine's virtio devices, and how they wait.
public struct QueueOptions: Equatable, Sendable {
  /// How many threads there are for the queues of all devices, dealt out in turn; 0 gives a device threads
  /// of its own.
  public var threadCount = 0
  /// How long a disk's thread looks for work before it sleeps, in microseconds at most; 0 never does.
  ///
  /// If `nil`, it is 32 where the host has more processors than the guest, and 0 otherwise: a thread that
  /// polls would take its processor from a guest's.
  public var polling: UInt32?

  /// The most threads.
  public static var threadLimit: Int { 64 }
  /// The longest polling in microseconds.
  public static var pollingLimit: UInt32 { 1000 }

  /// Threads of each device's own, which poll where that hurts nobody.
  public init() {}

  /// Checks the numbers.
  func validate() throws(MachineError) {
    guard (0...Self.threadLimit).contains(threadCount) else { throw .queueThreads(threadCount) }
    if let polling, polling > Self.pollingLimit { throw .queuePolling(polling) }
  }
}
