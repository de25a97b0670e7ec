public import DeviceModel
import Glibc
public import HostOS
import Synchronization

/// A doorbell registry with the rules of KVM's ioeventfds, rung by the test.
public final class FakeDoorbells: DoorbellRegistry {
  private let hung = Mutex<[Doorbell: EventFD]>([:])

  /// Makes a registry with no doorbells.
  public init() {}

  /// What is attached now, by ascending address.
  public var attached: [Doorbell] {
    hung.withLock { $0.keys.sorted { $0.address < $1.address } }
  }

  /// Attaches; fails with `EEXIST` if the same doorbell is attached already.
  public func attach(_ doorbell: Doorbell, to event: EventFD) throws {
    try hung.withLock { hung in
      guard hung[doorbell] == nil else { throw SystemError(call: "attach", code: EEXIST) }
      hung[doorbell] = event
    }
  }

  /// Detaches; fails with `ENOENT` if the doorbell is not attached to `event`.
  public func detach(_ doorbell: Doorbell, from event: EventFD) throws {
    try hung.withLock { hung in
      guard hung[doorbell] === event else { throw SystemError(call: "detach", code: ENOENT) }
      hung[doorbell] = nil
    }
  }

  /// Makes the guest's write: signals every doorbell that matches.
  ///
  /// - Returns: Whether one matched; if not, the write belongs to the device.
  @discardableResult
  public func ring(
    _ space: Doorbell.Space = .memory,
    address: UInt64,
    width: Int,
    value: UInt64 = 0
  ) -> Bool {
    let events = hung.withLock { hung in
      hung.filter { doorbell, _ in
        doorbell.space == space && doorbell.address == address
          && (doorbell.width == 0 || doorbell.width == width)
          && doorbell.value ?? value == value
      }
    }
    events.values.forEach { $0.signal() }
    return !events.isEmpty
  }
}
