/// `struct virtio_net_hdr`, which comes before every packet (virtio 1.2, 5.1.6).
enum NetHeader {
  /// The length: with `VIRTIO_F_VERSION_1`, the number of buffers is there always.
  static var size: Int { 12 }
  /// Where the kind of segmentation is; 0 for none.
  static var segmentationOffset: Int { 1 }
  /// Where the number of buffers is.
  static var bufferCountOffset: Int { 10 }

  /// The addresses and the type of an Ethernet frame.
  static var ethernetSize: Int { 14 }
  /// A VLAN's tag.
  static var vlanTagSize: Int { 4 }
  /// The largest packet of IP with what comes before it.
  static var largestFrame: Int { 65535 + ethernetSize + vlanTagSize }
}
