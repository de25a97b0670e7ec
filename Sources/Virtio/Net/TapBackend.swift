import Glibc
import GuestMemory
public import HostOS

/// A tap interface of the host, whose frames go to and from guest RAM without a copy.
public final class TapBackend: NetBackend {
  /// The most queues that the kernel gives an interface (`MAX_TAP_QUEUES`).
  public static var queueLimit: Int { 256 }

  /// The interface's name.
  public let label: String
  /// What the interface's kernel can keep.
  public let features: VirtioFeatures
  /// The interface's, where it is not the usual one.
  public let mtu: UInt16?

  private let queues: [TapQueue]

  /// Attaches to the interface `name`, or makes one, which is then set up too.
  ///
  /// - Parameters:
  ///   - name: The interface's name.
  ///   - queuePairCount: How many queues it has; an interface that is there must be one of several
  ///     queues (`multi_queue`) if there is more than one, and otherwise not.
  ///   - mtu: The most bytes of a packet that it carries; as it is where not given.
  /// - Throws: `SystemError` if the host does not let us.
  public convenience init(
    interface name: String,
    queuePairCount: Int = 1,
    mtu: UInt16? = nil
  ) throws(SystemError) {
    let isNew = !NetworkInterface.exists(name)
    var queues: [TapQueue] = []
    for _ in 0..<queuePairCount {
      queues.append(
        try TapQueue(
          interface: queues.first?.name ?? name,
          isMultiQueue: queuePairCount > 1
        )
      )
    }
    if let mtu, try NetworkInterface.mtu(of: queues[0].name) != Int(mtu) {
      try NetworkInterface.setMTU(of: queues[0].name, to: Int(mtu))
    }
    // One that was there is as its owner wants it.
    if isNew { try NetworkInterface.setUp(queues[0].name) }
    try self.init(queues)
  }

  /// Uses queues that are attached already, all of one interface.
  public init(_ queues: [TapQueue]) throws(SystemError) {
    precondition((1...Self.queueLimit).contains(queues.count), "\(queues.count) queues")
    self.queues = queues
    label = queues[0].name
    // The interface may be in a network namespace that is not ours.
    let found = (try? NetworkInterface.mtu(of: queues[0].name)).flatMap { UInt16(exactly: $0) }
    mtu = found == 1500 ? nil : found
    features = try Self.probe(queues[0])
  }

  /// The host is there.
  public var isConnected: Bool { true }
  /// One for each queue of the interface.
  public var queuePairCount: Int { queues.count }

  /// Reads and writes the queue.
  public func makePort(_ pair: Int) -> any NetPort { TapPort(queues[pair]) }

  /// Has the host cut up and checksum what the guest does not take.
  public func setGuestOffloads(_ features: VirtioFeatures) throws(SystemError) {
    try queues[0].setOffload(Self.offload(features))
  }

  /// Takes the other queues out of the host's choice.
  public func setActivePairs(_ count: Int) throws(SystemError) {
    guard queues[0].isMultiQueue else { return }
    for (index, queue) in queues.enumerated() { try queue.setAttached(index < count) }
  }

  private static func offload(_ features: VirtioFeatures) -> TapQueue.Offload {
    guard features.contains(.netGuestChecksum) else { return [] }
    var offload: TapQueue.Offload = .checksum
    let pairs: [(VirtioFeatures, TapQueue.Offload)] = [
      (.netGuestTCP4, .tcp4), (.netGuestTCP6, .tcp6), (.netGuestECN, .tcpECN),
      (.netGuestUFO, .udpFragments),
    ]
    for (feature, bit) in pairs where features.contains(feature) { offload.insert(bit) }
    // The kernel knows these two together only.
    if features.isSuperset(of: [.netGuestUDP4, .netGuestUDP6]) { offload.insert([.udp4, .udp6]) }
    return offload
  }

  /// What the kernel can do: it refuses what it does not know.
  private static func probe(_ queue: TapQueue) throws(SystemError) -> VirtioFeatures {
    var features: VirtioFeatures = []
    let steps: [(VirtioFeatures, VirtioFeatures)] = [
      (.netGuestChecksum, .netChecksum),
      (
        [.netGuestTCP4, .netGuestTCP6, .netGuestECN],
        [.netHostTCP4, .netHostTCP6, .netHostECN]
      ),
      (.netGuestUFO, .netHostUFO), ([.netGuestUDP4, .netGuestUDP6], .netHostUDP),
    ]
    for (guest, host) in steps {
      let wanted = features.union(guest)
      guard (try? queue.setOffload(offload(wanted))) != nil else { continue }
      features = wanted.union(host)
    }
    try queue.setOffload([])
    return features
  }
}

/// A queue of a tap interface.
final class TapPort: NetPort {
  private let queue: TapQueue

  init(_ queue: TapQueue) { self.queue = queue }

  let hasHeader = true
  let isConnected = true

  func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived {
    let number = queue.receivingDescriptor
    do throws(SystemError) {
      guard let count = try buffers.receive(from: number, overflow: &overflow) else {
        return .mustWait(number)
      }
      return .frame(count: count)
    } catch {
      return .ended(error.code == EBADFD ? "the interface is gone" : "\(error)")
    }
  }

  func send(_ frame: inout GuestIOVector) -> NetSent {
    let number = queue.sendingDescriptor
    do throws(SystemError) {
      return try frame.send(to: number) == nil ? .mustWait(number) : .sent
    } catch {
      return .dropped(error.reason)
    }
  }
}
