import GuestMemory

/// What the driver has written about one queue.
struct QueueRegisters: Sendable {
  let maximumSize: UInt16
  var size: UInt16
  var descriptorTable: UInt64 = 0
  var availableRing: UInt64 = 0
  var usedRing: UInt64 = 0
  var isEnabled = false

  /// A queue that no driver has touched: the size offered is the size until it is written.
  init(maximumSize: UInt16) {
    self.maximumSize = maximumSize
    size = maximumSize
  }

  subscript(part: VirtqueuePart) -> UInt64 {
    get {
      switch part {
      case .descriptors: descriptorTable
      case .available: availableRing
      case .used: usedRing
      }
    }
    set {
      switch part {
      case .descriptors: descriptorTable = newValue
      case .available: availableRing = newValue
      case .used: usedRing = newValue
      }
    }
  }
}
