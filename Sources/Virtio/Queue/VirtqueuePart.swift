/// The parts of a split queue (virtio 1.2, 2.7).
public enum VirtqueuePart: String, Hashable, Sendable {
  /// The descriptor table.
  case descriptors = "descriptor table"
  /// The available ring, or "driver area".
  case available = "available ring"
  /// The used ring, or "device area".
  case used = "used ring"
}
