import HostOS
public import Logging
import Synchronization
public import Virtio

/// A virtio device whose queues are served by another process, a vhost-user back end.
///
/// The back end gets the guest's memory, and the eventfds of kicks: a guest's notification reaches it without us. When
/// it dies, or breaks the protocol, requests wait in the rings until there is another at the same socket, which
/// goes on where the dead one stood. What is asked of a back end is waited for 10 s at most.
public final class VhostUserRemote: VirtioDevice {
  /// What a device is to be.
  public struct Options: Sendable {
    /// What kind of device the back end serves.
    public var kind: VhostUserKind
    /// Where connections to the back end come from.
    public var source: any ConnectionSource
    /// Its name in log lines and of its threads, such as `disk0`.
    public var name: String
    /// How many queues a disk has at most.
    public var queueLimit: Int
    /// The address of a network interface.
    public var address: MACAddress
    /// How long a back end may take for one thing that is asked of it, in seconds.
    public var patience = 10
    /// Where all messages are recorded, if they are.
    public var recorder: MessageRecorder?

    /// Describes the device of the back end that listens at `path`.
    public init(
      _ kind: VhostUserKind,
      path: String,
      name: String,
      queueLimit: Int = 1,
      address: MACAddress = MACAddress(0x5254_0012_3456)
    ) {
      self.init(
        kind,
        source: ListeningPath(path),
        name: name,
        queueLimit: queueLimit,
        address: address
      )
    }

    /// Describes the device of the back end that `source` knows.
    public init(
      _ kind: VhostUserKind,
      source: any ConnectionSource,
      name: String,
      queueLimit: Int = 1,
      address: MACAddress = MACAddress(0x5254_0012_3456)
    ) {
      self.kind = kind
      self.source = source
      self.name = name
      self.queueLimit = queueLimit
      self.address = address
    }
  }

  /// Which kind of device it is.
  public let type: VirtioDeviceType
  /// The device's name in the log.
  public let name: String
  /// What the back end offers, of what makes sense here.
  public let features: VirtioFeatures
  /// What the back end can do with rings.
  public let ringFeatures: VirtioFeatures
  /// As many as the back end has, for a disk not more than were asked for.
  public let queueSizes: [UInt16]

  private let kind: VhostUserKind
  private let link: VhostUserLink
  private let thread: Thread
  private let callThread: Thread

  /// Connects to the back end, which must be there.
  ///
  /// - Throws: ``VhostUserBackEndError`` for what it did wrong, or `SystemError` if the host failed.
  public init(_ options: Options, logger: Logger) throws {
    kind = options.kind
    type = options.kind.type
    name = options.name
    var session = try VhostUserBackEndSession(
      Self.connect(options),
      kind: options.kind,
      patience: options.patience,
      tap: options.recorder?.makeTap(options.name, .vhostUser)
    )
    let agreement = session.agreement
    let offered = agreement.features.intersection(kind.features)
    let remote = try session.readConfiguration()
    let queues = kind.queues(
      atMost: try Self.queueCount(
        options,
        agreement,
        remote,
        offered
      )
    )
    let description = VhostUserLink.Description(
      kind: kind,
      source: options.source,
      name: options.name,
      queues: queues,
      features: offered.union(agreement.ringFeatures),
      patience: options.patience,
      recorder: options.recorder
    )
    features = offered.union(kind.ownFeatures)
    ringFeatures = agreement.ringFeatures
    queueSizes = Array(repeating: kind.queueSize, count: queues.count)
    var configuration = [UInt8](repeating: 0, count: kind.configurationCount)
    for (index, byte) in description.fixed(remote).enumerated() { configuration[index] = byte }
    if kind == .network {
      // 5.1.4: the address, a link that is up, one pair of queues.
      configuration.replaceSubrange(0..<9, with: options.address.bytes + [1, 0, 1])
    }
    let link = try VhostUserLink(
      session,
      description,
      configuration: configuration,
      logger: logger
    )
    self.link = link
    options.source.settle()
    thread = try Thread(options.name) { link.run() }
    do throws(SystemError) {
      callThread = try Thread("\(options.name).call") { link.calls.run() }
    } catch {
      link.finish()
      throw error
    }
  }

  deinit {
    link.finish()
    link.calls.finish()
  }

  /// The length of the configuration.
  public var configurationCount: Int { kind.configurationCount }

  /// What was last heard of it.
  public func readConfiguration(offset: UInt64, width: Int) -> UInt64 {
    link.configuration.withLock { bytes in
      (0..<width).reduce(0) { value, index in
        let place = Int(clamping: offset) &+ index
        return bytes.indices.contains(place)
          ? value | UInt64(bytes[place]) << (8 * UInt64(index)) : value
      }
    }
  }

  /// Passes on what a driver may write.
  public func writeConfiguration(_ value: UInt64, offset: UInt64, width: Int) {
    let start = Int(clamping: offset)
    let range = kind.writableConfiguration
    guard range.contains(start), width <= range.upperBound - start else { return }
    // 5.2.6.2: the cache mode is on or off, and the driver's to write with CONFIG_WCE only.
    if kind == .block { guard value <= 1, features.contains(.blockCacheMode) else { return } }
    let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    link.write(bytes, at: start)
  }

  /// Has the back end serve the queues, or the next one, if none is there now.
  public func activate(_ activation: VirtioActivation) throws { try link.activate(activation) }

  /// Has the back end end what is under way.
  ///
  /// One that does not answer is cut off: nobody can keep it from touching the guest's memory, which
  /// it has.
  public func reset() { link.reset() }

  /// Never called: `VIRTIO_F_RING_RESET` is not offered.
  public func resetQueue(_ index: Int) {}
  /// Never called: `VIRTIO_F_RING_RESET` is not offered.
  public func restartQueue(_ queue: VirtqueueConfiguration) throws {}

  /// More than any console of ours has.
  private static var queueLimit: Int { 128 }

  /// The first connection; a process that was started just now is waited for.
  private static func connect(_ options: Options) throws -> OwnedFileDescriptor {
    let deadline = VhostUserClient.Deadline(seconds: options.patience)
    while true {
      if let socket = try options.source.connect() { return socket }
      if let reason = options.source.failure { throw VhostUserBackEndError.lacks(reason) }
      guard let left = deadline.left, let ready = options.source.ready else {
        throw VhostUserBackEndError.ended
      }
      var list = PollList()
      _ = list.add(ready, for: .readable)
      list.wait(timeout: left)
    }
  }

  private static func queueCount(
    _ options: Options,
    _ agreement: VhostUserAgreement,
    _ configuration: [UInt8],
    _ offered: VirtioFeatures
  ) throws(VhostUserBackEndError) -> Int {
    let served = options.kind.queues(atMost: 1).served
    if let count = agreement.queueCount, count < served {
      throw .lacks("\(served) queues, only \(count)")
    }
    if options.kind == .console, offered.contains(.consoleMultiport) {
      // 5.3.2: two for each port, and two for control.
      return min(agreement.queueCount ?? 2, queueLimit)
    }
    guard options.kind == .block, offered.contains(.blockQueues) else { return 1 }
    let count = Int(configuration[34]) | Int(configuration[35]) << 8
    guard count > 0 else { throw .badValue(.getConfiguration, "a disk without queues") }
    return max(1, min(options.queueLimit, count, agreement.queueCount ?? 1))
  }
}

extension VirtioFeatures {
  /// `VIRTIO_BLK_F_MQ`: the configuration says how many queues there are (5.2.3).
  fileprivate static var blockQueues: Self { Self(bit: 12) }
  /// `VIRTIO_BLK_F_CONFIG_WCE`: the driver may switch the cache (5.2.3).
  fileprivate static var blockCacheMode: Self { Self(bit: 11) }
}
