import PCI

/// Where the structures of a virtio device lie in its one BAR (virtio 1.2, 4.1.4).
///
/// Each has pages of its own, so that a guest may map one without another.
struct PCILayout: Sendable {
  /// The BAR's index.
  static var bar: Int { 0 }
  /// The distance between the notification registers of two queues.
  static var notifyMultiplier: UInt64 { 4 }

  /// A structure's place in the BAR.
  struct Part: Sendable {
    let offset: UInt64
    let count: UInt64

    /// Where `offset` of the BAR is in this part, or `nil` if it is outside.
    func position(_ offset: UInt64) -> UInt64? {
      let position = offset &- self.offset
      return position < count ? position : nil
    }
  }

  let common = Part(offset: 0x0000, count: CommonRegister.count)
  let interruptStatus = Part(offset: 0x1000, count: 1)
  let configuration: Part
  let notification: Part
  let table: Part
  let pending: Part
  /// The length of the BAR.
  let size: UInt64

  init(queueCount: Int, configurationCount: Int, vectorCount: Int) {
    configuration = Part(offset: 0x2000, count: UInt64(configurationCount))
    notification = Part(
      offset: Self.pages(after: configuration),
      count: UInt64(queueCount) * Self.notifyMultiplier
    )
    table = Part(offset: Self.pages(after: notification), count: MSIX.tableSize(vectorCount))
    pending = Part(offset: Self.pages(after: table), count: MSIX.pendingSize(vectorCount))
    let end = Self.pages(after: pending)
    size = 1 << UInt64(UInt64.bitWidth - (end - 1).leadingZeroBitCount)
  }

  private static func pages(after part: Part) -> UInt64 {
    (part.offset + max(part.count, 1) + 0xFFF) & ~0xFFF
  }
}
