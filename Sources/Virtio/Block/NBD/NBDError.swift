/// Why an export of a network block device server cannot serve as a disk.
///
/// Each description is one line with the remedy.
public enum NBDError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The library is not installed.
  case noLibrary(NBDAddress, reason: String)
  /// There is no server, or it does not let us in.
  case unreachable(NBDAddress, reason: String)
  /// The export can only be read, and was not asked for read-only.
  case readOnly(NBDAddress)
  /// The export has less than one sector, or needs larger blocks than there are.
  case badGeometry(NBDAddress, size: UInt64, block: UInt64)
  /// The server has its connections see different things, or takes fewer of them.
  case tooManyQueues(NBDAddress, Int)
  /// Parts of the server's blocks cannot be changed by several queues.
  case largeBlocks(NBDAddress, Int, block: UInt64)

  /// What is wrong, without what it is wrong with and the remedy.
  var reason: String {
    switch self {
    case .noLibrary(_, let reason), .unreachable(_, let reason): reason
    case .readOnly, .badGeometry, .tooManyQueues, .largeBlocks: description
    }
  }

  /// One line for the user.
  public var description: String {
    switch self {
    case .noLibrary(let address, let reason):
      "disk \(address): libnbd is missing (\(reason)); install it: apt-get install libnbd0"
    case .unreachable(let address, let reason):
      "disk \(address): \(reason); is there a server? \(address.remedy)"
    case .readOnly(let address):
      "disk \(address): the server lets it be read only; use it read-only: \(address),readonly"
    case .badGeometry(let address, let size, let block):
      "disk \(address) has \(size) bytes in blocks of \(block); export one of 512 bytes or more, in "
        + "blocks of at most 64 KiB"
    case .tooManyQueues(let address, let count):
      "disk \(address): the server does not share the export between the connections of \(count) "
        + "queues; ask for one queue, or start it so: \(address.remedy) --shared=\(count)"
    case .largeBlocks(let address, let count, let block):
      "disk \(address): blocks of \(block) bytes cannot be changed by \(count) queues; ask for one queue"
    }
  }
}
