/// Which form of the protocol a peer speaks: QEMU's of multi-process devices has two on the wire, with no
/// version in either.
public enum MPQEMUGeneration: String, Sendable, CaseIterable {
  /// QEMU 5.2 and later.
  case current
  /// The eighth series of patches, of 2020: commands have other numbers, registers are a byte wide, and
  /// the proxy sends heartbeats.
  case v8

  /// The longest payload of any message, in bytes.
  var payloadLimit: UInt64 {
    switch self {
    case .current: 192
    case .v8: 256
    }
  }

  /// The generation of a proxy, by the first message that it sends.
  ///
  /// Usually the guest's memory; a proxy whose memory cannot be shared begins with something else. What neither
  /// generation begins with counts as the current one, which refuses it.
  init(first header: MPQEMUHeader, descriptors: Int) {
    let isOld =
      switch (header.command, header.size) {
      case (1, 192), (5, 192), (6, 192), (4, 12), (9, _), (10, _): true
      case (3, 12): header.second == 1
      case (7, _): descriptors == 2
      default: false
      }
    self = isOld ? .v8 : .current
  }
}
