import DeviceModel

/// Hands out the addresses that BARs have at power-on, before the guest moves them.
///
/// A BAR is aligned to its size. 64-bit BARs go above 4 GiB where there is a window and it has
/// room, else below.
public struct PCIResourceAllocator: Sendable {
  private struct Pool: Sendable {
    let window: PCIWindow
    // Ascending, without overlap.
    var taken: [Range<UInt64>] = []

    mutating func take(_ size: UInt64) -> UInt64? {
      var start = window.base
      for index in 0...taken.count {
        let (aligned, overflow) = start.addingReportingOverflow((0 &- start) & (size - 1))
        let limit = index < taken.count ? taken[index].lowerBound : window.end
        if !overflow, aligned <= limit, size <= limit - aligned {
          taken.insert(aligned..<aligned + size, at: index)
          return aligned
        }
        if index < taken.count { start = taken[index].upperBound }
      }
      return nil
    }
  }

  private var memory32: Pool
  private var memory64: Pool?
  private var ports: Pool?

  /// Makes an allocator over windows of memory below 4 GiB, of memory above, and of ports.
  public init(memory32: PCIWindow, memory64: PCIWindow? = nil, ports: PCIWindow? = nil) {
    precondition(memory32.end < 1 << 32 && ports?.end ?? 0 <= 0x1_0000, "bad PCI windows")
    self.memory32 = Pool(window: memory32)
    self.memory64 = memory64.map { Pool(window: $0) }
    self.ports = ports.map { Pool(window: $0) }
  }

  /// Gives each BAR of `function` an address, the biggest first; if one does not fit, none.
  public mutating func assign(to function: any PCIFunction) throws(PCIError) {
    let before = self
    var addresses: [(PCIBAR, UInt64)] = []
    for bar in function.configuration.bars.sorted(by: { $0.size > $1.size }) {
      guard let address = take(bar) else {
        self = before
        throw .windowExhausted(owner: function.name, bar: bar.index, size: bar.size)
      }
      addresses.append((bar, address))
    }
    for (bar, address) in addresses { function.configuration.setAddress(address, of: bar) }
  }

  /// Takes back `size` addresses from `address` on, of a function that was removed.
  ///
  /// The guest may have moved the BAR meanwhile: the addresses to give are those of its assignment.
  public mutating func release(_ bar: PCIBAR, at address: UInt64) {
    let range = address..<address + bar.size
    if bar.space == .port {
      ports?.taken.removeAll { $0 == range }
    } else {
      memory32.taken.removeAll { $0 == range }
      memory64?.taken.removeAll { $0 == range }
    }
  }

  private mutating func take(_ bar: PCIBAR) -> UInt64? {
    switch bar.kind {
    case .port: ports?.take(bar.size)
    case .memory32: memory32.take(bar.size)
    case .memory64: memory64?.take(bar.size) ?? memory32.take(bar.size)
    }
  }
}
