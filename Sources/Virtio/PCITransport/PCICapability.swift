import PCI

/// A vendor-specific capability that says where a structure is (virtio 1.2, 4.1.4).
struct PCICapability: Sendable {
  /// `cfg_type`: which structure.
  enum Kind: UInt8 {
    case common = 1
    case notification = 2
    case interruptStatus = 3
    case device = 4
    case accessWindow = 5
  }

  let kind: Kind
  let part: PCILayout.Part
  /// What follows the fields that all kinds have.
  let tail: UInt32?

  init(_ kind: Kind, _ part: PCILayout.Part, tail: UInt32? = nil) {
    self.kind = kind
    self.part = part
    self.tail = tail
  }

  /// Appends the capability to a function's list, and returns its offset.
  @discardableResult
  func add(to configuration: PCIConfigurationSpace) -> Int {
    let isWindow = kind == .accessWindow
    var body = [kind.rawValue, isWindow ? 0 : UInt8(PCILayout.bar), 0, 0, 0]
    let words =
      isWindow
      ? [0, 0]
      : [UInt32(truncatingIfNeeded: part.offset), UInt32(truncatingIfNeeded: part.count)]
    for word in words + (tail.map { [$0] } ?? []) {
      for shift in 0..<4 { body.append(UInt8(truncatingIfNeeded: word >> UInt32(8 * shift))) }
    }
    // 4.1.4.9: of the access window, BAR, offset, length and data are the driver's to write.
    let all = [UInt8](repeating: 0xFF, count: 12)
    let writable: [UInt8] = isWindow ? [0, 0xFF, 0, 0, 0] + all : []
    return configuration.addVendorCapability(body, writable: writable)
  }
}
