import Glibc
import GuestMemory
public import HostOS

/// A connected datagram socket, each of whose messages is a frame and nothing else.
public final class DatagramBackend: NetBackend {
  /// The descriptor, for messages.
  public let label: String

  private let receiving: OwnedFileDescriptor
  // A descriptor of its own, since a poller can wait for each in one way only.
  private let sending: OwnedFileDescriptor
  private let isSequence: Bool

  /// Takes over a socket of type `SOCK_DGRAM` or `SOCK_SEQPACKET`.
  ///
  /// - Throws: `SystemError` if the descriptor is not open.
  public init(
    adopting descriptor: consuming OwnedFileDescriptor,
    label: String,
    isSequence: Bool = false
  ) throws(SystemError) {
    self.label = label
    self.isSequence = isSequence
    try FileIO.setNonBlocking(descriptor.rawValue)
    sending = try descriptor.duplicated()
    receiving = descriptor
  }

  /// A datagram finds nobody, or somebody: there is nothing to know.
  public var isConnected: Bool { true }
  /// One.
  public var queuePairCount: Int { 1 }
  /// None: a frame says nothing about itself.
  public var features: VirtioFeatures { [] }
  /// Nobody says.
  public var mtu: UInt16? { nil }
  /// The socket's messages.
  public func makePort(_ pair: Int) -> any NetPort { Port(self) }
  /// There are none to choose.
  public func setGuestOffloads(_ features: VirtioFeatures) {}
  /// There is one.
  public func setActivePairs(_ count: Int) {}

  private final class Port: NetPort {
    private let backend: DatagramBackend

    init(_ backend: DatagramBackend) { self.backend = backend }

    let hasHeader = false
    private(set) var isConnected = true

    func receive(into buffers: inout GuestIOVector, overflow: inout [UInt8]) -> NetReceived {
      let number = backend.receiving.rawValue
      do throws(SystemError) {
        let count = try buffers.receive(
          from: number,
          at: UInt64(NetHeader.size),
          overflow: &overflow
        )
        guard let count else { return .mustWait(number) }
        // A datagram may be empty; of a sequence of packets that is the end.
        if count == 0, backend.isSequence {
          isConnected = false
          return .ended("the other end is closed")
        }
        return .frame(count: NetHeader.size + count)
      } catch {
        // What one that is not there any more answered to what was sent: another may come.
        if error.code == ECONNREFUSED || error.code == ECONNRESET, !backend.isSequence {
          return .mustWait(number)
        }
        isConnected = false
        return .ended("\(error)")
      }
    }

    func send(_ frame: inout GuestIOVector) -> NetSent {
      let number = backend.sending.rawValue
      do throws(SystemError) {
        return try frame.send(to: number) == nil ? .mustWait(number) : .sent
      } catch {
        return .dropped(error.reason)
      }
    }
  }
}
