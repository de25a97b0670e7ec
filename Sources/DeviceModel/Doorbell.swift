public import HostOS

/// A guest write that only wakes a thread: where, how wide, and which value.
public struct Doorbell: Hashable, Sendable {
  /// The address space that the doorbell is in.
  public enum Space: Hashable, Sendable {
    /// Guest-physical memory.
    case memory
    /// x86 I/O ports.
    case port
  }

  /// The space of ``address``.
  public var space: Space
  /// The address of the write.
  public var address: UInt64
  /// The width of the write in bytes; 0 stands for any.
  public var width: Int
  /// The value that rings, or `nil` for any.
  public var value: UInt64?

  /// Describes writes of `width` bytes to `address`, of `value` only if one is given.
  public init(space: Space = .memory, address: UInt64, width: Int, value: UInt64? = nil) {
    self.space = space
    self.address = address
    self.width = width
    self.value = value
  }
}

/// Where doorbells are hung up: the kernel's ioeventfds, or a test's fake.
///
/// A write that matches signals the eventfd and never reaches the device's ``BusDevice/write(_:_:)``.
/// Any thread may call.
public protocol DoorbellRegistry: AnyObject, Sendable {
  /// From now on, writes that match `doorbell` signal `event`.
  func attach(_ doorbell: Doorbell, to event: EventFD) throws
  /// Undoes ``attach(_:to:)`` with the same arguments.
  func detach(_ doorbell: Doorbell, from event: EventFD) throws
}
