import CLinux
import Glibc

/// One queue of a tap interface, with a virtio header of 12 bytes before each frame (tun.rst of the
/// kernel's documentation).
///
/// Each read takes one frame that the host sends out of the interface, and each write is one that
/// comes in. Non-blocking. One thread reads and writes; any may call the rest.
public final class TapQueue: Sendable {
  /// What may come from the interface without having been cut up or checksummed by the host first.
  public struct Offload: OptionSet, Sendable {
    /// The bits of TUNSETOFFLOAD.
    public let rawValue: UInt32
    /// Wraps the bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Frames whose checksum is not filled in.
    public static var checksum: Self { Self(rawValue: APUS_TAP_CSUM) }
    /// Large TCP segments over IPv4.
    public static var tcp4: Self { Self(rawValue: APUS_TAP_TSO4) }
    /// Large TCP segments over IPv6.
    public static var tcp6: Self { Self(rawValue: APUS_TAP_TSO6) }
    /// Large TCP segments with congestion notification.
    public static var tcpECN: Self { Self(rawValue: APUS_TAP_TSO_ECN) }
    /// Large UDP datagrams, to be sent as fragments.
    public static var udpFragments: Self { Self(rawValue: APUS_TAP_UFO) }
    /// Several UDP datagrams over IPv4 in one.
    public static var udp4: Self { Self(rawValue: APUS_TAP_USO4) }
    /// Several UDP datagrams over IPv6 in one.
    public static var udp6: Self { Self(rawValue: APUS_TAP_USO6) }
  }

  /// The length of the header before each frame, in bytes.
  public static var headerSize: Int { 12 }

  /// The interface's name.
  public let name: String
  /// Whether the interface may have several queues.
  public let isMultiQueue: Bool

  private let receiving: OwnedFileDescriptor
  // A descriptor of its own, since a poller can wait for each in one way only.
  private let sending: OwnedFileDescriptor

  /// Attaches to the interface `name`, which is made if there is none, and goes with its last queue.
  ///
  /// - Parameters:
  ///   - name: The interface, in the network namespace of the calling thread.
  ///   - isMultiQueue: Whether there will be other queues; an interface that is there must agree.
  /// - Throws: ``SystemError``: `ENOENT` without the kernel's tun module, `EPERM` without the right to
  ///   make the interface or to use it, `EINVAL` where it is another kind of interface, `EBUSY` where
  ///   it is in use.
  public init(interface name: String, isMultiQueue: Bool) throws(SystemError) {
    guard (1..<Int(APUS_INTERFACE_NAME_SIZE)).contains(name.utf8.count) else {
      throw SystemError(call: "ioctl(TUNSETIFF)", code: ENAMETOOLONG, subject: name)
    }
    let descriptor = try OwnedFileDescriptor(opening: "/dev/net/tun", O_RDWR | O_NONBLOCK)
    let number = descriptor.rawValue
    var actual = [CChar](repeating: 0, count: Int(APUS_INTERFACE_NAME_SIZE))
    _ = try retrying("ioctl(TUNSETIFF)", name) {
      // SAFETY: the array has room for the longest name.
      unsafe apus_tap_attach(number, name, isMultiQueue ? 1 : 0, &actual)
    }
    self.name = Self.text(actual)
    self.isMultiQueue = isMultiQueue
    sending = try descriptor.duplicated()
    receiving = descriptor
    try prepare()
  }

  /// Takes over a queue that somebody else has opened and attached.
  ///
  /// - Throws: ``SystemError``: `ENOTTY` or `EBADFD` if it is none, `EINVAL` if its frames come without a
  ///   virtio header.
  public init(adopting descriptor: consuming OwnedFileDescriptor) throws(SystemError) {
    let number = descriptor.rawValue
    var name = [CChar](repeating: 0, count: Int(APUS_INTERFACE_NAME_SIZE))
    var (isTap, hasHeader, isMultiQueue): (Int32, Int32, Int32) = (0, 0, 0)
    _ = try retrying("ioctl(TUNGETIFF)", "descriptor \(number)") {
      // SAFETY: the array has room for the longest name; the others are live locals.
      unsafe apus_tap_query(number, &name, &isTap, &hasHeader, &isMultiQueue)
    }
    guard isTap != 0, hasHeader != 0 else {
      throw SystemError(call: "ioctl(TUNGETIFF)", code: EINVAL, subject: Self.text(name))
    }
    self.name = Self.text(name)
    self.isMultiQueue = isMultiQueue != 0
    try FileIO.setNonBlocking(number)
    sending = try descriptor.duplicated()
    receiving = descriptor
    try prepare()
  }

  /// Whether `number` is a queue of a tun or tap interface.
  public static func isTap(_ number: Int32) -> Bool {
    var name = [CChar](repeating: 0, count: Int(APUS_INTERFACE_NAME_SIZE))
    var (isTap, hasHeader, isMultiQueue): (Int32, Int32, Int32) = (0, 0, 0)
    // SAFETY: the array has room for the longest name; the others are live locals.
    return unsafe apus_tap_query(number, &name, &isTap, &hasHeader, &isMultiQueue) == 0
  }

  /// The descriptor to receive frames from, valid while this object lives.
  public var receivingDescriptor: Int32 { receiving.rawValue }
  /// The descriptor to send frames to, valid while this object lives.
  public var sendingDescriptor: Int32 { sending.rawValue }

  /// Chooses what may come without having been cut up or checksummed; for all queues of the
  /// interface.
  ///
  /// - Throws: ``SystemError``, `EINVAL` if the kernel does not know one of them, or if they do not go
  ///   together.
  public func setOffload(_ offload: Offload) throws(SystemError) {
    let number = receiving.rawValue
    _ = try retrying("ioctl(TUNSETOFFLOAD)", name) {
      apus_tap_set_offload(number, offload.rawValue)
    }
  }

  /// Has the queue take part in what the interface does, or not; it does at first.
  ///
  /// While it does not, nothing comes; what is written goes out all the same.
  public func setAttached(_ isAttached: Bool) throws(SystemError) {
    let number = receiving.rawValue
    do throws(SystemError) {
      _ = try retrying("ioctl(TUNSETQUEUE)", name) {
        apus_tap_set_attached(number, isAttached ? 1 : 0)
      }
    } catch  where error.code == EINVAL {
      // It is so already.
    }
  }

  private func prepare() throws(SystemError) {
    let number = receiving.rawValue
    _ = try retrying("ioctl(TUNSETVNETHDRSZ)", name) {
      apus_tap_set_header_size(number, Int32(Self.headerSize))
    }
    _ = try retrying("ioctl(TUNSETVNETLE)", name) { apus_tap_set_little_endian(number) }
  }

  private static func text(_ name: [CChar]) -> String {
    String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
