import GuestMemory
public import HostOS

/// For a driver whose commands go to somebody else: a front end in another process that has the
/// control queue to itself.
extension Net {
  /// How many pairs of queues there are.
  public var pairCount: Int { shared.pairs.count }

  /// Has frames come to the first `count` pairs, as a command of the driver would.
  public func setActivePairs(_ count: Int) throws(SystemError) {
    try shared.setActivePairs(count)
  }

  /// Sends one frame of our own, while the device is not active.
  ///
  /// - Returns: Whether the network took it.
  @discardableResult
  public func send(_ frame: [UInt8]) throws(SystemError) -> Bool {
    let port = shared.backend.makePort(0)
    // A header of zeroes promises nothing about the frame (virtio 1.2, 5.1.6).
    let bytes = [UInt8](repeating: 0, count: port.hasHeader ? NetHeader.size : 0) + frame
    let memory = try GuestMemory(count: GuestMemory.pageSize)
    var vector = GuestIOVector(memory)
    guard (try? memory.write(bytes, at: GuestAddress(0))) != nil,
      (try? vector.append(GuestAddress(0), count: UInt64(bytes.count))) != nil
    else { return false }
    return port.send(&vector) == .sent
  }
}
