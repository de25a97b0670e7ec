/// What a disk stores its sectors in, whatever that is; opened, for one device at a time.
public struct DiskSource: Sendable {
  let storage: any DiskStorage

  /// A file or block device.
  public init(_ image: DiskImage) { storage = image }

  /// No storage at all.
  public init(_ null: NullDisk) { storage = null }

  /// What a server of the network block device protocol has.
  public init(_ nbd: NBDDisk) { storage = nbd }

  /// What messages call it, such as its path.
  public var path: String { storage.path }
  /// The size in bytes, as it was found last.
  public var count: UInt64 { storage.count }
  /// Whether it cannot be written.
  public var isReadOnly: Bool { storage.isReadOnly }
}
