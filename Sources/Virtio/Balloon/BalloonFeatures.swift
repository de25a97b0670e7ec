/// The features of balloons (virtio 1.2, 5.5.3).
extension VirtioFeatures {
  /// `VIRTIO_BALLOON_F_STATS_VQ`: the driver tells how its memory is used.
  @inlinable public static var balloonStatistics: Self { Self(bit: 1) }
  /// `VIRTIO_BALLOON_F_DEFLATE_ON_OOM`: the driver takes pages back where it has none left.
  @inlinable public static var balloonDeflateOnOOM: Self { Self(bit: 2) }
  /// `VIRTIO_BALLOON_F_PAGE_POISON`: the driver says what its free pages are filled with.
  @inlinable public static var balloonPagePoison: Self { Self(bit: 4) }
  /// `VIRTIO_BALLOON_F_PAGE_REPORTING`: the driver tells of pages that are free.
  @inlinable public static var balloonReporting: Self { Self(bit: 5) }
}
