import Glibc
import GuestMemory
import HostOS
import Synchronization
import Virtio

/// A network in the test's hands: for each pair of queues a socket whose messages are frames with a
/// virtio header, as a tap interface's are.
final class FakeNetwork: NetBackend {
  let label = "fake"
  let features: VirtioFeatures
  let mtu: UInt16?
  let queuePairCount: Int

  private let ends: [Ends]
  private let state = Mutex(State())

  private struct State {
    var offloads: [VirtioFeatures] = []
    var activePairs: [Int] = []
  }

  init(
    pairs: Int = 1,
    features: VirtioFeatures = .everyOffload,
    mtu: UInt16? = nil
  ) throws {
    self.features = features
    self.mtu = mtu
    queuePairCount = pairs
    ends = try (0..<pairs).map { _ in try Ends() }
  }

  /// What the device asked for, in order.
  var offloads: [VirtioFeatures] { state.withLock { $0.offloads } }
  var activePairs: [Int] { state.withLock { $0.activePairs } }

  var isConnected: Bool { true }
  func makePort(_ pair: Int) -> any NetPort { Port(ends[pair]) }
  func setGuestOffloads(_ features: VirtioFeatures) {
    state.withLock { $0.offloads.append(features) }
  }
  func setActivePairs(_ count: Int) { state.withLock { $0.activePairs.append(count) } }

  /// Has a frame come, after a header of zeroes if not told.
  func send(_ frame: [UInt8], header: [UInt8] = .init(repeating: 0, count: 12), pair: Int = 0) {
    let message = header + frame
    let size = write(ends[pair].network.rawValue, message, message.count)
    precondition(size == message.count, "the network is full: \(errno)")
  }

  /// Takes the next frame that the guest sent, with its header; `nil` if there is none.
  func take(pair: Int = 0) -> [UInt8]? {
    try? FileIO.read(ends[pair].network.rawValue, atMost: 70_000)
  }

  final class Ends: Sendable {
    let network: OwnedFileDescriptor
    let device: OwnedFileDescriptor
    let sending: OwnedFileDescriptor

    init() throws {
      let pair = try MessagePair()
      network = try pair.near.duplicated()
      device = try pair.far.duplicated()
      sending = try pair.far.duplicated()
    }
  }

  private final class Port: NetPort {
    private let ends: Ends
    let hasHeader = true
    let isConnected = true

    init(_ ends: Ends) { self.ends = ends }

    func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived {
      let number = ends.device.rawValue
      let count = try? buffers.receive(from: number, overflow: &overflow)
      return count.map { .frame(count: $0) } ?? .mustWait(number)
    }

    func send(_ frame: inout GuestIOVector) -> NetSent {
      let number = ends.sending.rawValue
      do {
        return try frame.send(to: number) == nil ? .mustWait(number) : .sent
      } catch {
        return .dropped(error.reason)
      }
    }
  }
}

extension VirtioFeatures {
  /// What a tap interface of a new kernel can do.
  static var everyOffload: Self {
    netGuestOffloads.union([
      .netChecksum, .netHostTCP4, .netHostTCP6, .netHostECN, .netHostUFO, .netHostUDP,
    ])
  }
}

/// Two connected sockets that keep messages apart, both non-blocking.
struct MessagePair: ~Copyable {
  let near: OwnedFileDescriptor
  let far: OwnedFileDescriptor

  init(_ type: __socket_type = SOCK_DGRAM) throws {
    var numbers: [Int32] = [-1, -1]
    _ = try retrying("socketpair") {
      socketpair(AF_UNIX, Int32(type.rawValue | SOCK_CLOEXEC.rawValue), 0, &numbers)
    }
    near = OwnedFileDescriptor(adopting: numbers[0])
    far = OwnedFileDescriptor(adopting: numbers[1])
    for number in numbers { _ = fcntl(number, F_SETFL, O_NONBLOCK) }
  }
}
