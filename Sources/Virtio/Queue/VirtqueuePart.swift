/// The parts of a queue by who writes them (virtio 1.2, 2.6).
public enum VirtqueuePart: String, Hashable, Sendable {
  /// The descriptor table, or the packed descriptor ring.
  case descriptors = "descriptor area"
  /// The available ring, or the driver's event suppression structure.
  case available = "driver area"
  /// The used ring, or the device's event suppression structure.
  case used = "device area"
}
