/// What a disk stores its sectors in.
///
/// Any thread may call anything; each queue's requests are done by an engine of its own.
protocol DiskStorage: AnyObject, Sendable {
  /// What messages call it, such as its path.
  var path: String { get }
  /// The size in bytes, as it was found last; a multiple of the logical block.
  var count: UInt64 { get }
  /// Looks how large it is by now, and returns that.
  func measure() throws -> UInt64
  /// Whether it cannot be written.
  var isReadOnly: Bool { get }
  /// What requests should be multiples of, in bytes; a power of 2 of at least 512.
  var logicalBlockSize: UInt64 { get }
  /// What is read and written at least, in bytes; a power of 2 of at least the logical block.
  var physicalBlockSize: UInt64 { get }
  /// Whether ranges can be given up.
  var canDiscard: Bool { get }
  /// Whether ranges can be zeroed, in whatever way.
  var canZero: Bool { get }
  /// What the user should know of how requests are done, in one line; usually nothing.
  var notice: String? { get }
  /// Makes what does a queue's requests; on its thread.
  ///
  /// - Throws: What the host is short of.
  func makeEngine(_ requests: DiskRequests, _ log: LimitedLog) throws -> any DiskEngine
}
