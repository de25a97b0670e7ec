import CLinux
import Glibc
import Synchronization

/// An eventfd: a counter that one side signals and the other waits on (eventfd(2)).
///
/// Any thread may call any method; the kernel orders them. Non-blocking and close-on-exec.
public final class EventFD: Sendable {
  private let descriptor: OwnedFileDescriptor
  /// Whether others hold it too, who may have made it a blocking one.
  private let sharing: Atomic<Bool>
  private var isShared: Bool { sharing.load(ordering: .relaxed) }

  /// Makes an eventfd with a count of 0.
  public init() throws(SystemError) {
    let number = try retrying("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
    descriptor = OwnedFileDescriptor(adopting: number)
    sharing = Atomic(false)
  }

  /// Takes over an eventfd received from elsewhere.
  ///
  /// It may be a blocking one, which is a property that all its holders share: it is left as it is, and
  /// ``signal()`` and ``drain()`` do not wait all the same.
  public init(adopting descriptor: consuming OwnedFileDescriptor) {
    self.descriptor = descriptor
    sharing = Atomic(true)
  }

  /// Makes a timer that can be waited for like an eventfd, and that signals itself again and again.
  ///
  /// - Parameter interval: Nanoseconds between two signals, at least 1.
  /// - Throws: `SystemError` if the host has no descriptor left.
  public init(tickingEvery interval: UInt64) throws(SystemError) {
    let number = try retrying("timerfd_create") {
      timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
    }
    descriptor = OwnedFileDescriptor(adopting: number)
    sharing = Atomic(false)
    var setting = itimerspec()
    setting.it_interval.tv_sec = Int(interval / 1_000_000_000)
    setting.it_interval.tv_nsec = Int(interval % 1_000_000_000)
    setting.it_value = setting.it_interval
    // SAFETY: the setting is a live local; nothing is written back.
    _ = try retrying("timerfd_settime") { unsafe timerfd_settime(number, 0, &setting, nil) }
  }

  /// The descriptor's number, valid while this object lives; for epoll, KVM and passing on.
  public var rawValue: Int32 { descriptor.rawValue }

  /// The descriptor's number, for handing it to another process.
  ///
  /// Whatever that does to the eventfd, nobody here waits for it.
  public func share() -> Int32 {
    sharing.store(true, ordering: .relaxed)
    return descriptor.rawValue
  }

  /// Adds one to the count.
  ///
  /// A count at its limit stays there: the other side is awake already.
  public func signal() {
    if isShared { signalPeer() } else { addOne() }
  }

  /// Adds one to the count of one that others hold too, or may come to hold meanwhile.
  ///
  /// They can fill it between the look and the write; the thread that is held up then goes on after
  /// half a second at most, for each time that they manage.
  package func signalPeer() {
    // A write that would pass the limit of a blocking eventfd waits for a reader (eventfd(2)).
    if isShared, !hasRoom { return }
    let number = PeerWrites.all.begin(self)
    addOne()
    PeerWrites.all.end(number)
  }

  /// Whether a write would not wait.
  var hasRoom: Bool {
    var item = pollfd(fd: descriptor.rawValue, events: Int16(POLLOUT), revents: 0)
    // SAFETY: one entry, in a live local.
    return unsafe poll(&item, 1, 0) > 0
  }

  private func addOne() {
    var one: UInt64 = 1
    // SAFETY: eight bytes are read from a live local.
    _ = unsafe Glibc.write(descriptor.rawValue, &one, 8)
  }

  /// Waits until the count is not 0, or a signal arrives; takes nothing.
  public func wait() {
    var item = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
    // SAFETY: one entry, in a live local.
    _ = unsafe poll(&item, 1, -1)
  }

  /// Whether it behaves as an eventfd when it is read; takes the count.
  ///
  /// To be asked of one that came from elsewhere and
  /// may be something else, such as an epoll.
  public var canBeDrained: Bool { takeCount() != nil }

  /// Takes the whole count, and never waits; `nil` if this is something else than an eventfd.
  package func takeCount() -> UInt64? {
    var count: UInt64 = 0
    // SAFETY: eight bytes are written to a live local.
    let size = unsafe apus_read_now(descriptor.rawValue, &count, 8)
    if size == 8 { return count }
    return size < 0 && errno == EAGAIN ? 0 : nil
  }

  /// Takes the whole count and leaves 0.
  ///
  /// - Returns: How often it was signalled since the last call; 0 if never.
  @discardableResult
  public func drain() -> UInt64 {
    if isShared { return takeCount() ?? 0 }
    var count: UInt64 = 0
    // SAFETY: eight bytes are written to a live local.
    let size = unsafe Glibc.read(descriptor.rawValue, &count, 8)
    return size == 8 ? count : 0
  }
}
