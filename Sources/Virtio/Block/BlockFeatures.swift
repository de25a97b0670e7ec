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
  /// `VIRTIO_BLK_F_TOPOLOGY`: the configuration says which sizes and places of requests go well.
  @inlinable public static var blockTopology: Self { Self(bit: 10) }
  /// `VIRTIO_BLK_F_CONFIG_WCE`: the driver may switch the write cache.
  @inlinable public static var blockWriteCache: Self { Self(bit: 11) }
  /// `VIRTIO_BLK_F_MQ`: there are several queues.
  @inlinable public static var blockMultiQueue: Self { Self(bit: 12) }
  /// `VIRTIO_BLK_F_DISCARD`: the driver may give sectors up.
  @inlinable public static var blockDiscard: Self { Self(bit: 13) }
  /// `VIRTIO_BLK_F_WRITE_ZEROES`: the driver may zero sectors without sending zeroes.
  @inlinable public static var blockWriteZeroes: Self { Self(bit: 14) }
}
