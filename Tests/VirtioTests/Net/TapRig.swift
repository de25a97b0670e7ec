import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// A thread with a network namespace of its own.
enum TapNamespace {
  static let isPossible: Bool = {
    guard getuid() == 0, access("/dev/net/tun", R_OK | W_OK) == 0 else { return false }
    return (try? run { _ = try TapQueue(interface: "apus0", isMultiQueue: false) }) != nil
  }()

  /// Runs `body` on a new thread, in a new namespace, and waits for it.
  static func run(_ body: @escaping @Sendable () throws -> Void) throws {
    nonisolated(unsafe) var result: Result<Void, any Error> = .success(())
    let thread = try Thread("namespace") {
      result = Result {
        _ = try retrying("unshare") { unshareNetwork() }
        // Nothing but the tests is to speak there; a kernel without IPv6 is silent anyway.
        let setting = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
        if let file = try? OwnedFileDescriptor(opening: setting, O_WRONLY) {
          try FileIO.writeAll(file.rawValue, Array("1".utf8))
        }
        try body()
      }
    }
    thread.join()
    try result.get()
  }
}

/// Gives the calling thread a network namespace of its own (unshare(2), `CLONE_NEWNET`).
private func unshareNetwork() -> Int32 {
  // What the Swift module of the C library leaves out.
  guard let address = dlsym(nil, "unshare") else { return -1 }
  let call = unsafeBitCast(address, to: (@convention(c) (Int32) -> Int32).self)
  return call(0x4000_0000)
}

/// A guest's network interface over a tap one, with a socket that sees what goes over that.
struct TapRig {
  let name = "apus0"
  let guest: NetRig
  let host: PacketSocket

  init(_ ring: RingKind = .packed, pairs: Int = 1) throws {
    let backend = try TapBackend(interface: name, queuePairCount: pairs)
    guest = try NetRig(ring, pairs: pairs, network: backend)
    host = try PacketSocket(name)
  }
}

/// A socket for the raw frames of an interface (packet(7)).
final class PacketSocket {
  private let descriptor: OwnedFileDescriptor

  init(_ name: String) throws {
    let everything: UInt16 = 0x0003
    let number = try retrying("socket") {
      socket(
        AF_PACKET,
        Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue),
        Int32(everything.bigEndian)
      )
    }
    descriptor = OwnedFileDescriptor(adopting: number)
    // struct sockaddr_ll: family, protocol, interface; the rest is not looked at.
    let index = UInt32(bitPattern: Int32(if_nametoindex(name)))
    var address: [UInt32] = [
      UInt32(AF_PACKET) | UInt32(everything.bigEndian) << 16, index, 0, 0, 0,
    ]
    _ = try retrying("bind", name) {
      address.withUnsafeMutableBytes { bytes in
        bind(number, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, 20)
      }
    }
  }

  /// Sends a frame out of the interface.
  func send(_ frame: [UInt8]) {
    let size = write(descriptor.rawValue, frame, frame.count)
    precondition(size == frame.count, "errno \(errno)")
  }

  /// Waits for the next frame of the tests that came in; what the host itself says is passed over.
  func take(_ driver: MockDriver) throws -> [UInt8] {
    var found: [UInt8] = []
    try driver.wait {
      guard let frame = try FileIO.read(descriptor.rawValue, atMost: 70_000) else { return false }
      guard frame.count >= 14, frame[12] == 0x88, frame[13] == 0xB5 else { return false }
      found = frame
      return true
    }
    return found
  }

  /// Removes an interface, whoever uses it.
  static func removeInterface(_ name: String) throws {
    let paths: [String] = ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"]
    let path = paths.first { access($0, X_OK) == 0 }
    var child = try ChildProcess(
      path ?? "/sbin/ip",
      ["ip", "link", "delete", name],
      environment: [],
      descriptors: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    )
    guard case .exited(0) = child.wait() else {
      throw SystemError(call: "ip link delete", code: EINVAL, subject: name)
    }
  }
}
