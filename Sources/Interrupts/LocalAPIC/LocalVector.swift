/// The entries of the local vector table (SDM volume 3A, 11.5.1).
enum LocalVector: Int, CaseIterable, Sendable {
  case timer
  case thermal
  case performance
  case lint0
  case lint1
  case error
  case cmci

  /// The bits that a guest can write; the rest are read-only or reserved.
  var writable: UInt32 {
    switch self {
    case .timer: 0x0007_00FF
    case .thermal, .performance, .cmci: 0x0001_07FF
    case .lint0, .lint1: 0x0001_A7FF
    case .error: 0x0001_00FF
    }
  }

  /// The bits that are not reserved: also delivery status, and the remote IRR of a pin.
  var defined: UInt32 {
    switch self {
    case .lint0, .lint1: writable | 1 << 12 | 1 << 14
    case .timer, .thermal, .performance, .error, .cmci: writable | 1 << 12
    }
  }
}
