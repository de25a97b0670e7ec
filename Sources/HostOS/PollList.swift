import CLinux
import Glibc

/// A list of descriptors to wait for once, regular files included (poll(2)).
///
/// Made anew for each wait by a thread that relays a few streams; ``Poller`` is for threads that
/// wait for the same descriptors many times.
public struct PollList {
  private var items: [pollfd] = []

  /// Makes an empty list.
  public init() {}

  /// Adds a descriptor.
  ///
  /// - Returns: Its place in the list, for ``isReady(_:)``.
  public mutating func add(_ number: Int32, for interest: Poller.Interest) -> Int {
    items.append(pollfd(fd: number, events: Int16(interest.rawValue), revents: 0))
    return items.count - 1
  }

  /// Waits until a descriptor is ready, a signal arrives, or the time is up.
  ///
  /// - Parameter timeout: Milliseconds; `nil` waits for ever.
  public mutating func wait(timeout: Int32? = nil) {
    _ = unsafe items.withUnsafeMutableBufferPointer {
      unsafe poll($0.baseAddress, nfds_t($0.count), timeout ?? -1)
    }
  }

  /// Whether the descriptor at `index` is ready, hung up or in error: a call on it returns at once.
  public func isReady(_ index: Int) -> Bool { items[index].revents != 0 }

  /// Whether nobody is at the other end of the descriptor at `index`.
  public func hasHungUp(_ index: Int) -> Bool { Int32(items[index].revents) & POLLHUP != 0 }
}
