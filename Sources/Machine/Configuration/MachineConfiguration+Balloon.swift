public import Virtio

extension MachineConfiguration {
  /// A memory balloon.
  public struct Balloon: Equatable, Sendable {
    /// How many bytes of the guest's memory it takes at first.
    public var size: UInt64
    /// What it offers.
    public var options: Virtio.Balloon.Options
    /// Where the device sits; see ``MachineConfiguration/Disk/address``.
    public var address: UInt64?

    /// Describes a balloon that takes `size` bytes.
    public init(
      size: UInt64 = 0,
      options: Virtio.Balloon.Options = Virtio.Balloon.Options(),
      address: UInt64? = nil
    ) {
      self.size = size
      self.options = options
      self.address = address
    }
  }

  /// Checks what of the balloon does not need the host.
  func validateBalloon() throws(MachineError) {
    guard let balloon else { return }
    guard !usesHugePages else { throw .balloonOfHugePages }
    guard balloon.size < memory else { throw .balloonSize(balloon.size, memory: memory) }
  }
}
