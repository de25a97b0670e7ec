/// The features of block devices (virtio 1.2, 5.2.3).
extension VirtioFeatures {
  /// `VIRTIO_BLK_F_SEG_MAX`: the configuration says how many data buffers a request may have.
  @inlinable public static var blockSegmentMaximum: Self { Self(bit: 2) }
  /// `VIRTIO_BLK_F_RO`: the disk cannot be written.
  @inlinable public static var blockReadOnly: Self { Self(bit: 5) }
  /// `VIRTIO_BLK_F_BLK_SIZE`: the configuration says how large a block is.
  @inlinable public static var blockSize: Self { Self(bit: 6) }
  /// `VIRTIO_BLK_F_FLUSH`: the driver flushes where it needs stable storage.
  @inlinable public static var blockFlush: Self { Self(bit: 9) }
}
