import Synchronization

/// A disk that a server of the network block device protocol has, in whatever format the server knows.
///
/// Such as qemu-nbd or nbdkit; reached through libnbd. It is connected to when it is opened, and as long
/// as it is: some servers end with their last client. Any thread may call anything.
public final class NBDDisk: Sendable {
  /// How a server is used.
  public struct Options: Equatable, Sendable {
    /// Only to be read.
    public var isReadOnly: Bool
    /// How many queues use it at once, each with a connection of its own.
    public var connectionCount: Int
    /// How long a request may take; a server that takes longer is given up as lost.
    public var timeout: Duration
    /// How long requests wait for a server that was lost, to be made again; then, they fail.
    public var reconnect: Duration

    /// Chooses how a server is used.
    public init(
      isReadOnly: Bool = false,
      connectionCount: Int = 1,
      timeout: Duration = .seconds(60),
      reconnect: Duration = .zero
    ) {
      self.isReadOnly = isReadOnly
      self.connectionCount = connectionCount
      self.timeout = timeout
      self.reconnect = reconnect
    }
  }

  /// Where it is.
  public let address: NBDAddress
  /// Whether it cannot be written.
  public var isReadOnly: Bool { options.isReadOnly }

  let options: Options
  let information: NBDConnection.Information
  let connections: NBDConnections
  private let size: Atomic<UInt64>

  /// Connects to the export at `address`, which takes as long as a server does to answer, some 10 seconds at
  /// most.
  ///
  /// - Throws: ``NBDError``, or `SystemError` if the host is short of something.
  public init(_ address: NBDAddress, _ options: Options = Options()) throws {
    self.address = address
    self.options = options
    let first = try NBDConnection(address)
    information = first.information
    size = Atomic(first.count)
    guard options.isReadOnly || !information.isReadOnly else { throw NBDError.readOnly(address) }
    var made = [first]
    let count = options.connectionCount
    if count > 1 {
      guard information.canShare else { throw NBDError.tooManyQueues(address, count) }
      // Parts of a block are changed by reading it first, which two connections must not do at once.
      guard information.block == DiskImage.sectorSize else {
        throw NBDError.largeBlocks(address, count, block: information.block)
      }
      for _ in 1..<count {
        do throws(NBDError) {
          made.append(try NBDConnection(address))
        } catch {
          throw NBDError.tooManyQueues(address, count)
        }
      }
    }
    connections = try NBDConnections(address, information, made)
  }

  /// Looks how large the export is by now, which a server tells new connections only.
  ///
  /// - Returns: The size in bytes.
  /// - Throws: ``NBDError`` if there is no such connection.
  @discardableResult
  public func measure() throws(NBDError) -> UInt64 {
    let connection = try NBDConnection(address)
    guard connection.information == information else {
      throw .unreachable(address, reason: "another export than before is there")
    }
    let count = connection.count
    guard size.exchange(count, ordering: .relaxed) != count else { return count }
    // Those that there are do not know the new size.
    connections.replace(by: connection)
    return count
  }
}

extension NBDDisk: DiskStorage {
  var path: String { address.description }
  var count: UInt64 { size.load(ordering: .relaxed) }
  var logicalBlockSize: UInt64 { information.block }
  var physicalBlockSize: UInt64 { max(information.block, 4096) }
  var canDiscard: Bool { !isReadOnly && information.canTrim }
  var canZero: Bool { !isReadOnly }
  var notice: String? { nil }

  func makeEngine(_ requests: DiskRequests, _ log: LimitedLog) throws -> any DiskEngine {
    try NBDEngine(self, requests, log)
  }
}
