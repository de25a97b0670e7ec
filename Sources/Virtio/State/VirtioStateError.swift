/// Why a saved state of a device is not taken.
public enum VirtioStateError: Error, Equatable, Sendable {
  /// It does not begin as one, or is of a version that is not known.
  case badForm(version: UInt16)
  /// It ends before the field of that name, or has something there that cannot be.
  case badField(String)
  /// It goes on after its last field.
  case trailing(count: Int)
  /// It is the state of a device of another kind.
  case otherDevice(saved: UInt16, own: UInt16)
  /// The device that it was saved from had another number of queues.
  case queueCount(saved: Int, own: Int)
  /// The device that it was saved from had another number of MSI-X vectors.
  case vectorCount(saved: Int, own: Int)
  /// The device that it was saved from had other configuration registers, or BARs of other sizes.
  case otherRegisters
  /// The driver was offered features that this device does not have, or has agreed on such.
  case features(saved: UInt64, own: UInt64)
  /// The status is none that a device can have.
  case badStatus(UInt8)
  /// A queue is enabled and larger than this device's may be.
  case queueSize(queue: Int, saved: UInt16, maximum: UInt16)
  /// What the device of this type keeps of its own is not in order.
  case badDevice(String)
}

extension VirtioStateError: CustomStringConvertible {
  /// One line for the log.
  public var description: String {
    switch self {
    case .badForm(let version):
      "no state of a virtio device in version \(VirtioFunctionState.version): version \(version)"
    case .badField(let name): "\(name) is cut short or out of range"
    case .trailing(let count): "\(count) bytes follow the state's end"
    case .otherDevice(let saved, let own):
      "state of a device of type \(saved), and this one is of type \(own)"
    case .queueCount(let saved, let own): "state of \(saved) queues, and this device has \(own)"
    case .vectorCount(let saved, let own): "state of \(saved) vectors, and this device has \(own)"
    case .otherRegisters: "state of other configuration registers than this device has"
    case .features(let saved, let own):
      "features 0x\(String(saved, radix: 16)) of which this device has only 0x\(String(own, radix: 16))"
    case .badStatus(let status): "status 0x\(String(status, radix: 16)) cannot be"
    case .queueSize(let queue, let saved, let maximum):
      "queue \(queue) has \(saved) entries, and this device's at most \(maximum)"
    case .badDevice(let reason): "the device's own state: \(reason)"
    }
  }
}
