public import GuestMemory

/// What a device is given when its driver is ready, for as long as until its reset.
public struct VirtioActivation: Sendable {
  /// The features that both sides agreed on.
  public let features: VirtioFeatures
  /// The guest's RAM.
  public let memory: GuestMemory
  /// The queues by index; `nil` for one that the driver did not enable.
  ///
  /// Size, alignment and place in RAM of each have been checked.
  public let queues: [VirtqueueConfiguration?]
  /// Where the device reports used buffers, changes and a broken driver.
  public let signals: VirtioSignals

  /// Bundles what an active device needs.
  public init(
    features: VirtioFeatures,
    memory: GuestMemory,
    queues: [VirtqueueConfiguration?],
    signals: VirtioSignals
  ) {
    self.features = features
    self.memory = memory
    self.queues = queues
    self.signals = signals
  }
}
