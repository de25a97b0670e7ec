import HostOS
public import Virtio

/// A network device for vhost-user front ends, which keep the driver's commands to themselves: what
/// they do not pass on is not offered, and every pair of queues that they start is used.
public final class ServedNet: VhostUserNetwork {
  private let net: Net

  /// Serves `net`.
  public init(_ net: Net) { self.net = net }

  /// A network device.
  public var type: VirtioDeviceType { net.type }
  /// The device's name in the log.
  public var name: String { net.name }

  /// All but the filter for VLANs, and offloads that change: nobody would tell us.
  public var features: VirtioFeatures {
    net.features.subtracting([.netControlVLAN, .netControlOffloads])
  }

  /// Two for each pair; the control queue is the front end's.
  public var queueSizes: [UInt16] { Array(net.queueSizes.prefix(2 * net.pairCount)) }
  /// As the device has it; front ends make up their own.
  public var configurationCount: Int { net.configurationCount }

  /// As the device does.
  ///
  /// Not all front ends say whether the driver has a control queue, which other
  /// features need.
  public func accepts(_ features: VirtioFeatures) -> Bool {
    net.accepts(features.union(.netControlQueue))
  }

  /// As the device does.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    net.readConfiguration(offset: offset, width: width)
  }

  /// Starts the device; all of its pairs take part.
  public func activate(_ activation: VirtioActivation) throws {
    try net.activate(activation)
    if activation.features.contains(.netMultiQueue) { try net.setActivePairs(net.pairCount) }
  }

  /// As the device does.
  public func reset() { net.reset() }
  /// As the device does.
  public func suspend() { net.suspend() }
  /// As the device does.
  public func resetQueue(_ index: Int) { net.resetQueue(index) }
  /// As the device does.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws { try net.restartQueue(queue) }

  /// Broadcasts a reverse ARP request (RFC 903) in the guest's name, from which switches learn where it
  /// is.
  public func announce(_ address: UInt64) {
    let source = (0..<6).map { UInt8(truncatingIfNeeded: address >> (8 * $0)) }
    var frame = [UInt8](repeating: 0xFF, count: 6) + source
    // EtherType, Ethernet, IPv4, the lengths of their addresses, "request reverse".
    frame += [0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]
    frame += source + [0, 0, 0, 0] + source + [0, 0, 0, 0]
    // The least that a frame has, without its check sequence.
    frame += [UInt8](repeating: 0, count: 60 - frame.count)
    _ = try? net.send(frame)
  }

  /// Anything that a frame can be (virtio 1.2, 5.1.4.1).
  public func setMTU(_ count: UInt64) -> Bool { (68...65535).contains(count) }
}
