public import GuestMemory

/// What a driver did wrong with a queue, with the numbers (virtio 1.2, 2.7 and 2.8).
///
/// A chain is named by the number of its first descriptor, its `head`.
/// None of these can be answered on the queue itself, so each leads to `DEVICE_NEEDS_RESET`.
public enum VirtqueueError: Error, Equatable, Sendable {
  /// The size of a split queue is 0, no power of 2, or above 32768.
  case badSize(UInt16)
  /// The size of a packed queue is 0 or above 32768.
  case badPackedSize(UInt16)
  /// The queue is to go on where a queue of this size cannot be.
  case badState(available: UInt16, used: UInt16, size: UInt16)
  /// The size is above what the device offered.
  case sizeAboveMaximum(UInt16, maximum: UInt16)
  /// A part of the queue is not aligned as it must be.
  case unaligned(VirtqueuePart, GuestAddress, alignment: UInt64)
  /// A part of the queue is not all in RAM.
  case outsideMemory(VirtqueuePart, GuestAddress, count: UInt64)
  /// The available index moved by more than the queue has entries.
  case indexJump(from: UInt16, to: UInt16, size: UInt16)
  /// More chains are available than the queue has entries, those that the device has not used
  /// included.
  case tooManyChains(size: UInt16)
  /// A chain of a packed queue takes descriptors of chains that the device has not used.
  case descriptorsInUse(head: UInt16, count: UInt16, size: UInt16)
  /// A descriptor number is not below the length of its table.
  case noSuchDescriptor(index: UInt16, count: UInt32)
  /// A chain has more descriptors than the queue has entries, which every loop has too.
  case chainTooLong(head: UInt16, limit: UInt16)
  /// A chain has more than 2^32 bytes.
  case tooManyBytes(head: UInt16, count: UInt64)
  /// A buffer is not all in RAM.
  case bufferOutsideMemory(head: UInt16, GuestAddress, count: UInt32)
  /// A buffer for the device to read comes after one for it to write.
  case readableAfterWritable(head: UInt16, index: UInt16)
  /// A table of descriptors is used though that was not agreed on.
  case indirectNotNegotiated(head: UInt16)
  /// A table of descriptors refers to another one.
  case nestedIndirect(head: UInt16, index: UInt16)
  /// A descriptor that refers to a table says that another one follows.
  case indirectWithNext(head: UInt16)
  /// A table of descriptors is used inside a chain of a packed queue, where it must stand alone.
  case indirectAfterDirect(head: UInt16, index: UInt16)
  /// A table of descriptors has a length of 0, no multiple of 16, or above 16 * 65536.
  case badIndirectLength(head: UInt16, count: UInt32)
  /// A table of descriptors is not all in RAM.
  case indirectOutsideMemory(head: UInt16, GuestAddress, count: UInt32)
  /// The region of chains under way is of a version or a size that is not this queue's.
  case foreignInflight(version: UInt16, size: UInt16, expected: UInt16)
  /// The region of chains under way has one that no queue of this size can have.
  case badInflight(chain: UInt16, descriptors: UInt16, size: UInt16)
  /// The region has more chains under way than the queue can have out.
  case tooManyInflight(count: Int, size: UInt16)
  /// There is no part for this queue in the region of chains under way.
  case noInflight(queue: Int, count: Int)
  /// A request leaves the device no way to answer it.
  case unanswerable(head: UInt16, String)
}

extension VirtqueueError: CustomStringConvertible {
  /// One line for the log.
  public var description: String {
    switch self {
    case .badSize(let size):
      "queue size \(size) is not a power of 2 up to 32768"
    case .badPackedSize(let size):
      "packed queue size \(size) is not 1 to 32768"
    case .badState(let available, let used, let size):
      "state \(hex(available)) available, \(hex(used)) used is none of a queue of \(size)"
    case .sizeAboveMaximum(let size, let maximum):
      "queue size \(size) is above the offered \(maximum)"
    case .unaligned(let part, let address, let alignment):
      "\(part.rawValue) at \(address) is not aligned to \(alignment) bytes"
    case .outsideMemory(let part, let address, let count):
      "\(part.rawValue) of \(count) bytes at \(address) is not in RAM"
    case .indexJump(let from, let to, let size):
      "available index moved from \(from) to \(to) on a queue of \(size)"
    case .tooManyChains(let size):
      "more chains are out than the \(size) entries of the queue"
    case .descriptorsInUse(let head, let count, let size):
      "chain \(head) takes descriptors that are in use: \(count) of \(size)"
    case .noSuchDescriptor(let index, let count):
      "descriptor \(index) of a table of \(count)"
    case .chainTooLong(let head, let limit):
      "chain \(head) loops or has more than \(limit) descriptors"
    case .tooManyBytes(let head, let count):
      "chain \(head) has \(count) bytes, more than 2^32"
    case .bufferOutsideMemory(let head, let address, let count):
      "chain \(head) has a buffer of \(count) bytes at \(address) that is not in RAM"
    case .readableAfterWritable(let head, let index):
      "chain \(head) has readable descriptor \(index) after a writable one"
    case .indirectNotNegotiated(let head):
      "chain \(head) uses an indirect table that was not negotiated"
    case .nestedIndirect(let head, let index):
      "chain \(head) has an indirect table inside an indirect table, at \(index)"
    case .indirectWithNext(let head):
      "chain \(head) goes on after its indirect table"
    case .indirectAfterDirect(let head, let index):
      "chain \(head) has an indirect table after other descriptors, at \(index)"
    case .badIndirectLength(let head, let count):
      "chain \(head) has an indirect table of \(count) bytes"
    case .indirectOutsideMemory(let head, let address, let count):
      "chain \(head) has an indirect table of \(count) bytes at \(address) that is not in RAM"
    case .foreignInflight(let version, let size, let expected):
      "in-flight region of version \(version) for \(size) entries, not of version 1 for \(expected)"
    case .badInflight(let chain, let descriptors, let size):
      "in-flight chain \(chain) makes too many or no descriptors: \(descriptors), in a queue of \(size)"
    case .tooManyInflight(let count, let size):
      "in-flight region with \(count) chains for a queue of \(size)"
    case .noInflight(let queue, let count):
      "in-flight region for \(count) queues of one kind has no part for queue \(queue)"
    case .unanswerable(let head, let reason):
      "chain \(head) \(reason)"
    }
  }
  private func hex(_ value: UInt16) -> String { "0x" + String(value, radix: 16) }
}
