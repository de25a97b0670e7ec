import Glibc
import GuestMemory
import HostOS
import TestSupport
import Testing
import Virtio

/// A driver that talks to Debian's passt over a unix socket, as one of QEMU's `-netdev stream` does.
@Suite(
  .serialized,
  .timeLimit(.minutes(5)),
  .enabled(if: Passt.isPossible, "passt is not installed, or finds no network on this host")
)
struct NetPasstTests {
  @Test(arguments: RingKind.allCases)
  func framesOfEverySizeGoBothWays(ring: RingKind) throws {
    let passt = try Passt()
    let rig = try NetRig(ring, network: passt.connect())
    // Through the router's address, the guest reaches what listens on this host.
    let program = try UDPSocket()

    try rig.send(Passt.question())
    let router = try #require(try rig.receiveFrame { Array($0[12..<14]) == [8, 6] })[22..<28]
    for count in [1, 1400, 30_000, 65_000] {
      let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ count) }
      try rig.send(Passt.datagram(data, to: Array(router), port: program.port))
      try rig.driver.wait { program.receive() }
      #expect(program.heard == data)
      program.answer(data.reversed())

      let frame = try #require(try rig.receiveFrame { $0.count > 42 && $0[23] == 17 })
      #expect(frame[42...].elementsEqual(data.reversed()))
      #expect(Array(frame[26..<30]) == Passt.router)
    }
    #expect(rig.rig.log.lines == [])
  }
}

extension NetRig {
  /// Waits for a frame that `isWanted`, without its virtio header; others are passed over.
  fileprivate func receiveFrame(_ isWanted: ([UInt8]) -> Bool) throws -> [UInt8]? {
    for _ in 0..<20 {
      try receive[0].add([.writable(Self.receiveArea, 70_000)])
      try driver.kick(0, receive[0])
      let count = Int(try driver.waitForUsed(receive[0]).written)
      let frame = try memory.read(at: GuestAddress(Self.receiveArea), count: count).dropFirst(12)
      if isWanted(Array(frame)) { return Array(frame) }
    }
    return nil
  }
}

/// A running passt, with addresses of its own whatever the host's are.
private final class Passt {
  static let isPossible = access(program, X_OK) == 0 && (try? Passt()) != nil
  static let guest: [UInt8] = [10, 77, 0, 2]
  static let router: [UInt8] = [10, 77, 0, 1]
  private static let program = "/usr/bin/passt"

  let path: String
  private let folder: TemporaryFolder
  private let child: ChildProcess

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path(of: "passt")
    // It drops its privileges first.
    chmod(folder.path, 0o777)
    let null = try OwnedFileDescriptor(opening: "/dev/null", O_RDWR)
    child = try ChildProcess(
      Self.program,
      [
        "passt", "-f", "-4", "-s", path, "-t", "none", "-u", "none", "-a", "10.77.0.2", "-n", "24",
        "-g", "10.77.0.1",
      ],
      environment: ["PATH=/usr/bin:/bin"],
      descriptors: [null.rawValue, null.rawValue, null.rawValue]
    )
    let path = path
    guard waitUntil(seconds: 5, { access(path, F_OK) == 0 }) else {
      throw SystemError(call: "passt", code: ENETUNREACH)
    }
  }

  /// Connects, as soon as it listens.
  func connect() throws -> StreamBackend {
    var backend: StreamBackend?
    let isThere = waitUntil {
      backend = try? StreamBackend(connectingTo: path)
      return backend != nil
    }
    guard isThere, let backend else { throw MockDriver.Failure.timeout }
    return backend
  }

  /// Asks who has the router's address (RFC 826).
  static func question() -> [UInt8] {
    let own = NetRig.address.bytes
    return [UInt8](repeating: 0xFF, count: 6) + own + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + own + guest
      + [UInt8](repeating: 0, count: 6) + router
  }

  /// A datagram of UDP (RFC 768) in a packet of IPv4 (RFC 791), from a port of the guest that becomes one of this
  /// host's.
  static func datagram(_ data: [UInt8], to address: [UInt8], port: UInt16) -> [UInt8] {
    func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    var header: [UInt8] =
      [0x45, 0] + word(28 + data.count) + [0, 0, 0, 0, 64, 17, 0, 0] + guest + router
    var sum = 0
    for index in stride(from: 0, to: 20, by: 2) {
      sum += Int(header[index]) << 8 | Int(header[index + 1])
    }
    sum = (sum & 0xFFFF) + sum >> 16
    header.replaceSubrange(10..<12, with: word(~sum & 0xFFFF))
    // A checksum of zero is none.
    return address + NetRig.address.bytes + [8, 0] + header + word(20_000 + Int(getpid() % 10_000))
      + word(Int(port))
      + word(8 + data.count) + [0, 0] + data
  }
}

/// A socket for datagrams on the loopback interface.
private final class UDPSocket {
  private let descriptor: OwnedFileDescriptor
  private(set) var heard: [UInt8] = []
  private var sender = sockaddr_in()
  let port: UInt16

  init() throws {
    let type = Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let number = try retrying("socket") { socket(AF_INET, type, 0) }
    descriptor = OwnedFileDescriptor(adopting: number)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = try retrying("bind") { Self.with(&address) { bind(number, $0, size) } }
    _ = try retrying("getsockname") { Self.with(&address) { getsockname(number, $0, &size) } }
    port = UInt16(bigEndian: address.sin_port)
  }

  /// Takes the next datagram, if there is one.
  func receive() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 70_000)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let number = descriptor.rawValue
    let count = Self.with(&sender) { recvfrom(number, &bytes, bytes.count, 0, $0, &size) }
    guard count >= 0 else { return false }
    heard = Array(bytes.prefix(count))
    return true
  }

  /// Sends a datagram to where the last came from.
  func answer(_ bytes: [UInt8]) {
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let number = descriptor.rawValue
    let count = Self.with(&sender) { sendto(number, bytes, bytes.count, 0, $0, size) }
    precondition(count == bytes.count, "errno \(errno)")
  }

  private static func with<Result>(
    _ address: inout sockaddr_in,
    _ body: (UnsafeMutablePointer<sockaddr>) -> Result
  ) -> Result {
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
    }
  }
}
